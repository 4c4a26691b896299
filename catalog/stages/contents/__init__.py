"""What a person adds to a project, asks of it and takes away: observations, sources, regions."""
