"""Embedding: is the explanation nearer to activating windows than to others, in a sentence-embedding space?"""
