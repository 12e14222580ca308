"""The monitor: a dashboard in the terminal, drawn with Textual over the operations of the engine."""
