"""The engine, the one write door, the schema version and cone search."""
