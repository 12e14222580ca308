"""Editing a body: the editor, the operator's own one, the difference."""
