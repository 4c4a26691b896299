"""Tables, the column registry and the views."""
