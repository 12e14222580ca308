"""Screen 8: the log of events."""
