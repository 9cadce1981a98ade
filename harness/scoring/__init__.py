"""The scorer seam, and what scorers share: prompts to a judge, the reading of its replies, and metrics."""
