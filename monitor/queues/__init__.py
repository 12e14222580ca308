"""Screen 2: the queues."""
