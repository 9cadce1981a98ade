"""Causal scorers: does the explanation say what the model writes, and which tokens it prefers, when steered?"""
