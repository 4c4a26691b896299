"""Alembic migrations of the catalog database."""

REVISIONS: tuple[str, ...] = ("0001", "0002", "0003")
"""All revisions, oldest first: what this code can open. A test holds it against the scripts."""
