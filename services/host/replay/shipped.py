"""The files that ship with a replay: mappings, schemas and audiences."""

from __future__ import annotations

import importlib.resources

FOLDER = "data"


def shipped_text(name: str) -> str:
    """Return the text of a shipped file; raises FileNotFoundError."""
    place = importlib.resources.files("services.host.replay") / FOLDER / name
    return place.read_text(encoding="utf-8")


def has_shipped(name: str) -> bool:
    """Return whether a file of this name ships."""
    return (importlib.resources.files("services.host.replay") / FOLDER / name).is_file()
