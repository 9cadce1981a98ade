"""Intruder: can a judge tell the window that does not belong from windows of the feature, without an explanation?"""
