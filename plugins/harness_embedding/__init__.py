"""Embedding: is the explanation, or another activating window, nearer to activating windows than to others?"""
