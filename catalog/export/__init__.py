"""Tables, pictures and generated pages: what leaves the database in the formats of the field."""
