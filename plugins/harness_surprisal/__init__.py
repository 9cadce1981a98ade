"""Surprisal: does the explanation make activating windows more probable, and other windows less so?"""
