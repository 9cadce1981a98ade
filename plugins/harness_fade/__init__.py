"""FADE: clarity, responsiveness, purity and faithfulness of an explanation (arXiv 2502.16994).

Four scorers that share their sample of texts and the judge's ratings of them.
"""
