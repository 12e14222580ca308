"""Screen 4: what one event led to."""
