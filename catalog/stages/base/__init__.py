"""What every stage stands on: project, calibration, fields, units of work and their fingerprints."""
