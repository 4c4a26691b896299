"""srccat: X-ray point-source catalogs from Chandra event files, in a relational database."""

__version__ = "0.1.0"
