"""Statistics of counts: posteriors, detection tests and limits, as pure functions of arrays."""
