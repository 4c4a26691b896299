"""Event lists, good times, sky frame, aspect, chips, field of view, observation folders, source lists."""
