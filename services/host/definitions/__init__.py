"""Definitions as files that people write: read strictly, then published through the API."""
