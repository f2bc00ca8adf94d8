"""Audiences as a YAML file lists them, each after those that its rule names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from services.host.definitions.document import Node, read_document, read_file

AUDIENCE_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")
_KEYS = {
    "id": "what rules and commands call it",
    "display_name": "a name for people",
    "rule": "who is in, in CEL",
}


@dataclass(frozen=True, slots=True)
class AudienceSpec:
    """One audience to create."""

    audience_id: str
    display_name: str
    rule: str


def load_audiences(path: Path) -> list[AudienceSpec]:
    """Return the audiences of a file, in its order; raises DocumentError with the place."""
    return read_audiences(path.name, read_file(path))


def read_audiences(file: str, text: str) -> list[AudienceSpec]:
    """Return the audiences of a text, in its order; raises DocumentError with the place."""
    root = read_document(file, text)
    found = root.fields({"audiences": "a list of audiences"}, ("audiences",))
    specs: dict[str, AudienceSpec] = {}
    for entry in found["audiences"].entries():
        spec = _audience(entry)
        if spec.audience_id in specs:
            raise entry.mistake(f"{spec.audience_id!r} is there twice")
        specs[spec.audience_id] = spec
    return list(specs.values())


def _audience(node: Node) -> AudienceSpec:
    found = node.fields(_KEYS, ("id", "rule"))
    audience_id = found["id"].text()
    if not AUDIENCE_ID.fullmatch(audience_id):
        raise found["id"].wrong("1 to 64 characters of a-z, 0-9 and `-`, beginning with a letter")
    name = found["display_name"].text() if "display_name" in found else audience_id
    return AudienceSpec(audience_id, name, found["rule"].text().strip())
