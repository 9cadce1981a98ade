"""Planted truth: features defined by rules, so that their true explanations and the distortions of these are known.

The room knows neither models nor language models: a rule reads text. Feature sources, explainers, the oracle judge and
the corpus that goes with them all ask the same rules.
"""
