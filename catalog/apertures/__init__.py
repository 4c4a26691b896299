"""Regions on the sky: plain numbers in, exact geometry out."""
