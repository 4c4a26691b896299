"""What is stale, in what order, who computes it and how it is stored."""
