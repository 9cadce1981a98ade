"""The runner: turns a resolved configuration into units of work, does what is missing, and writes the records."""
