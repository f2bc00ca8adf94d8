"""A file that people write, as text; what is wrong with it is said with the place."""

from __future__ import annotations

from pathlib import Path

from services.host.replay.document import DocumentError

FileMistake = DocumentError
"""A mistake in a file: where, what was found, what was expected."""


def read_text(path: Path) -> str:
    """Return the text of a file; raises FileMistake where there is none to be had."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileMistake(f"{path}: {error}") from None
