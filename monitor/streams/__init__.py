"""Streams, their history, and what an aggregate was at any version."""
