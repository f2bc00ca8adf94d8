"""What ships with a replay fits together: every rule speaks only of what the schema declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from coterie.type.v1 import schema_pb2
from services.host.definitions.audience_file import load_audiences, read_audiences
from services.host.definitions.document import DocumentError
from services.host.replay.declare import read_schema, schema_of
from services.host.replay.mapping_file import read_mapping
from services.host.replay.shipped import shipped_text
from services.kit.rules import Vocabulary, compile_rule
from services.kit.rules.vocabulary import KINDS


def vocabulary_of(schema: schema_pb2.Schema, audiences: frozenset[str]) -> Vocabulary:
    attributes = {field.name: KINDS[field.kind] for field in schema.attributes}
    types = {
        one.type: {field.name: KINDS[field.kind] for field in one.properties}
        for one in schema.event_types
    }
    return Vocabulary(attributes, types, audiences)


def shipped_schema(name: str) -> schema_pb2.Schema:
    if name == "storefront":
        return schema_of(read_mapping(name, shipped_text(f"{name}.yaml")))
    return read_schema(name, shipped_text(f"{name}.schema.yaml"))


@pytest.mark.parametrize("name", ["completejourney", "storefront"])
def test_every_shipped_rule_compiles_after_those_before_it(name: str) -> None:
    schema = shipped_schema(name)
    known: frozenset[str] = frozenset()
    specs = read_audiences(name, shipped_text(f"{name}.audiences.yaml"))
    for spec in specs:
        compile_rule(spec.rule, vocabulary_of(schema, known))
        known |= {spec.audience_id}
    assert len(known) == len(specs) >= 7


def test_a_wrong_audience_file_says_where(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    for text, message in {
        "audiences:\n  - {id: Vip, rule: x}": r"a\.yaml:2: audiences\[0\]\.id: expected 1 to 64",
        "audiences:\n  - {id: vip}": r"a\.yaml:2: audiences\[0\]: 'rule' is missing",
        "audiences:\n  - {id: a, rule: x}\n  - {id: a, rule: y}": r"a\.yaml:3: .*there twice",
        "audience: []": r"a\.yaml:1: unknown key 'audience'; there are audiences",
    }.items():
        path.write_text(text)
        with pytest.raises(DocumentError, match=message):
            load_audiences(path)
