"""Generation: do texts that a judge writes after the explanation activate the feature, and near-misses not?"""
