"""What Warren costs, as ratios against a peer or a bare loop in the same run: `make bench`."""
