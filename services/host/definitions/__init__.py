"""Definitions as YAML files that people write: audiences, journeys and templates."""
