"""The configuration: what it may say (schema) and how it is read from YAML (loader)."""
