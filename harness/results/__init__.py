"""What a run leaves behind: record schemas, line files, the manifest and the run's folder."""
