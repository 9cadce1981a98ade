"""Leaderboards: derived from the records of runs, never typed; rows of one protocol are compared, others never."""
