"""Screen 6: the workers."""
