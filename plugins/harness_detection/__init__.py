"""Detection: does this unmarked window activate the feature described?"""
