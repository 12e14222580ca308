"""Example plugins: an order flow to copy from, and the story of `warren demo`."""
