"""The command line: one file per verb. Importing this imports nothing."""
