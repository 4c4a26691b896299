"""From events, regions and calibration to records; never sees the database."""
