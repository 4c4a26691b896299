"""Simulated observations: photons of known sources, turned into level-2 event files with their truth."""
