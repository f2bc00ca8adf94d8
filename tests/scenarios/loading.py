"""Loads a scenario file: `extends`, `use`, `enable`, `repeat`; errors name file, line and part."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.scenarios.document import Document, read_document, validate
from tests.scenarios.faults import ScenarioError
from tests.scenarios.scenario import DEFAULT_NAMESPACES, DEFAULT_UNIQUE, Claim, Scenario
from tests.scenarios.timeline import read_inputs
from tests.scenarios.times import instant_ms

HERE = Path(__file__).resolve().parent
SHARED = HERE.parents[2] / "shared" / "scenarios"
"""Where the shared scenarios are, beside the checkout; files elsewhere may build on them."""
SCHEMA = HERE / "schema.json"

_OWN = ("scenario", "title", "origin", "extends", "timeline", "expect", "end")
"""What `extends` does not take from the other file."""
_BY_KEY = ("segments", "journeys", "item_sets", "policy", "identity")
"""What `use` merges by key."""


def load(file: Path) -> Scenario:
    """Return the scenario of a file; raises ScenarioError."""
    document = read_document(file)
    beside = file.parent / "schema.json"
    for schema in {SCHEMA, beside if beside.exists() else SCHEMA}:
        validate(document, schema)
    definitions = _with_libraries(_extended(document, ()), document)
    content = document.content
    identity = definitions.get("identity") or {}
    policy = definitions.get("policy") or {}
    return Scenario(
        name=content["scenario"],
        title=content["title"],
        zone=definitions.get("zone", "UTC"),
        namespaces=tuple(identity.get("namespaces", DEFAULT_NAMESPACES)),
        unique=tuple(identity.get("unique", DEFAULT_UNIQUE)),
        catalog=tuple(definitions.get("catalog") or ()),
        segments=definitions.get("segments") or {},
        journeys=definitions.get("journeys") or {},
        item_sets=definitions.get("item_sets") or {},
        policy=policy,
        inputs=read_inputs(document),
        claims=_claims(document),
        end_ms=instant_ms(content["end"]),
    )


def _extended(document: Document, seen: tuple[Path, ...]) -> dict[str, Any]:
    """Return the definitions of a file over those of the file that it extends."""
    content = document.content
    own = {key: value for key, value in content.items() if key not in _OWN}
    if "extends" not in content:
        return own
    place = document.place(["extends"])
    file = _find(f"{content['extends']}.yaml", document.file.parent, place)
    if file in (*seen, document.file):
        raise ScenarioError(f"{place}: {content['extends']} extends itself")
    return _extended(read_document(file), (*seen, document.file)) | own


def _with_libraries(own: dict[str, Any], document: Document) -> dict[str, Any]:
    """Return the definitions with those of the libraries in `use`; a later library wins."""
    merged: dict[str, Any] = {key: {} for key in _BY_KEY}
    catalog: list[Any] = []
    zone = None
    for name in own.get("use") or ():
        file = _find(f"lib/{name}.yaml", document.file.parent, document.place(["use"]))
        library = read_document(file).content
        catalog += library.get("catalog") or ()
        zone = library.get("zone", zone)
        for key in _BY_KEY:
            merged[key] |= library.get(key) or {}
    if own.get("enable") is not None:
        merged["journeys"] = _enabled(merged["journeys"], own, document)
    for key in _BY_KEY:
        merged[key] |= own.get(key) or {}
    merged["catalog"] = catalog + list(own.get("catalog") or ())
    merged["zone"] = own.get("zone", zone) or "UTC"
    return merged


def _enabled(
    journeys: Mapping[str, Any], own: Mapping[str, Any], document: Document
) -> dict[str, Any]:
    names = own["enable"]
    stray = [name for name in names if name not in journeys and name not in own.get("journeys", {})]
    if stray:
        raise ScenarioError(
            f"{document.place(['enable'])}: expected journeys of the libraries, found {stray[0]!r}"
        )
    return {name: journeys[name] for name in journeys if name in names}


def _find(name: str, beside: Path, place: str) -> Path:
    """Return the file `name` beside the scenario, else of the shared or of our own scenarios."""
    for folder in (beside, SHARED, HERE / "stories"):
        if (folder / name).is_file():
            return folder / name
    raise ScenarioError(f"{place}: there is no {name} in {beside}")


def _claims(document: Document) -> tuple[Claim, ...]:
    claims = []
    for index, written in enumerate(document.content["expect"]):
        kinds = [key for key in written if key not in ("at", "note")]
        place = document.place(["expect", index])
        if len(kinds) != 1:
            raise ScenarioError(f"{place}: expected one kind of expectation, found {kinds}")
        at_ms = instant_ms(written["at"]) if "at" in written else None
        claims.append(Claim(index, kinds[0], written[kinds[0]], at_ms, place))
    return tuple(claims)
