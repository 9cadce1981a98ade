"""Options for Hydra."""
