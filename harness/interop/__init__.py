"""Files of other projects and of earlier runs, read and written."""
