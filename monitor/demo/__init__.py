"""The dashboard on the demo, with a line that leads through it."""
