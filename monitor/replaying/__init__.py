"""Replaying events to one handler."""
