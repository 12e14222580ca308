"""Bodies of messages: what they are, how they read, and what an edit changed. Pure."""
