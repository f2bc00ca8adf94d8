"""Writes and reads the files of a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from services.host.load.outcome import FORMAT
from services.host.load.page import page
from services.host.load.record import TRACKS

JSON, HTML = "report.json", "report.html"


class ReportError(Exception):
    """A report cannot be written or read: which, and why."""


def check_place(directory: Path) -> None:
    """Make the directory where it is missing, before a run: raises ReportError where it cannot."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ReportError(f"--report: {directory}: {error.strerror or error}") from None


def write_report(directory: Path, document: dict[str, Any]) -> None:
    """Write both files, in place of former ones; raises ReportError."""
    try:
        text = json.dumps(document, indent=1) + "\n"
        (directory / JSON).write_text(text, encoding="utf-8")
        (directory / HTML).write_text(page(document), encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{error.filename}: {error.strerror or error}") from None


def read_report(file: Path) -> dict[str, Any]:
    """Return a report; a directory means the one in it. Raises ReportError."""
    place = file / JSON if file.is_dir() else file
    try:
        found: Any = json.loads(place.read_text(encoding="utf-8"))
    except OSError as error:
        raise ReportError(f"{place}: {error.strerror or error}") from None
    except ValueError:
        raise ReportError(f"{place}: expected JSON, found something else") from None
    version = found.get("format") if isinstance(found, dict) else None
    if not isinstance(found, dict) or version != FORMAT:
        raise ReportError(f"{place}: expected a report of format {FORMAT}, found {version!r}")
    if not TRACKS.keys() <= found.get("tracks", {}).keys():
        raise ReportError(f"{place}: expected the tracks {', '.join(TRACKS)}, found others")
    return found
