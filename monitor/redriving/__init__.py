"""Redrives and replays: the plan, the operation, the list of them."""
