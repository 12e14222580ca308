"""Screen 1: how it stands, and what to do next."""
