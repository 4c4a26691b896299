"""Photons from sources, PSF, area and background."""
