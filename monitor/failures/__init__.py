"""Failures: by cause, by message, and one whole."""
