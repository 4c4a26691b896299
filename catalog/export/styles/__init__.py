"""Catalogs in the words of the two reference systems: srcflux's .flux tables, ACIS Extract's tables."""
