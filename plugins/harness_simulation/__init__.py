"""Simulation: can the activation on every token be predicted from the explanation?"""
