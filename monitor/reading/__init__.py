"""Texts to read: lines with roles, and the widget that shows them."""
