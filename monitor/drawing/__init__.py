"""Figures, ages, charts and untrusted text, as they are drawn. Pure."""
