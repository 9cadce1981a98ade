"""Fuzzing: are the marked tokens the ones the feature responds to?"""
