"""Projections: how far each is, and having it go on."""
