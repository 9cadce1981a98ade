"""Corpora, tokenised once, and the stored activations of every feature on them."""
