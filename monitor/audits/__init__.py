"""The audit, read: who did what, when and why."""
