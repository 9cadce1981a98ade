"""Planted features as feature sources: rules that read text, and directions that promote known tokens."""
