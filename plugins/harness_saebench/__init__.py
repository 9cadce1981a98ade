"""SAEBench's automated interpretability: which of 14 windows activate the feature, in one question?"""
