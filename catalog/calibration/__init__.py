"""Effective area, redistribution, point spread function and reference spectrum of an observation."""
