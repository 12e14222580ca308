"""A table of any length, drawn line by line over pages."""
