"""Windows, deciles, document-disjoint halves, negatives: from stored activations to feature records."""
