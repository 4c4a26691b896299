"""Catalogs in the formats of the field."""
