"""Examples that run: each folder with YAML is a test; demo drives the first one end to end."""
