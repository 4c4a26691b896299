"""Running stages: what is stale, who computes it, locks, logs, reports."""
