"""What writes explanations, and the controls that stand beside them."""
