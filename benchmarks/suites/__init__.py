"""What `python -m benchmarks` can measure, by name."""
