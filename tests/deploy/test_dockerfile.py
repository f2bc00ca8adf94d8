"""The image, as far as it can be judged without building it."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

from services.kit.config import DEFAULT_PORTS, ConfigError, load_config
from tests.deploy import confinement, dockerfile
from tests.deploy.dockerfile import (
    DOCKERFILE,
    DOCKERIGNORE,
    assignments,
    exec_form,
    left_out,
    stages,
)
from tests.deploy.manifests import ROOT

TEXT = DOCKERFILE.read_text(encoding="utf-8")
SECRET = re.compile(r"password|passwd|token|secret|credential|api_?key", re.IGNORECASE)

Rule = Callable[[str], Iterator[str]]


@cache
def _tracked() -> tuple[str, ...]:
    command = ["git", "-C", str(ROOT), "ls-files"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return tuple(listed.splitlines())


def stands_on_a_known_base(text: str) -> Iterator[str]:
    defaults = assignments(dockerfile.instructions(text.partition("FROM")[0]), "ARG")
    names: list[str] = []
    for first, *_ in stages(text):
        image, *alias = first.operands
        resolved = re.sub(r"\$\{(\w+)\}", lambda match: defaults.get(match[1], ""), image)
        tag = resolved.rpartition(":")[2] if ":" in resolved else "latest"
        if resolved not in names and tag == "latest":
            yield f"{image} is {resolved or 'nothing'}, of no known version"
        names += alias[1:]


def ends_as_nobody(text: str) -> Iterator[str]:
    last = stages(text)[-1]
    users = [each.text for each in last if each.keyword == "USER"]
    if users[-1:] != [f"{confinement.USER}:{confinement.USER}"]:
        yield f"the user is {users}"
    if "USER" not in takewhile(lambda keyword: keyword != "ENTRYPOINT", (i.keyword for i in last)):
        yield "the user is not said before the entry point"


def needs_no_shell(text: str) -> Iterator[str]:
    last = stages(text)[-1]
    started = {each.keyword: exec_form(each) for each in last}
    if started.get("ENTRYPOINT") != ["coterie"]:
        yield f"the entry point is {started.get('ENTRYPOINT')}"
    if not started.get("CMD"):
        yield "the arguments would need a shell"
    yield from (f"runs {each.text}" for each in last if each.keyword in {"RUN", "SHELL"})


def fetches_nothing_unseen(text: str) -> Iterator[str]:
    for each in dockerfile.instructions(text):
        if each.keyword == "ADD" or (each.keyword == "RUN" and re.search("curl|wget", each.text)):
            yield f"{each.keyword} {each.text}"


def holds_no_secret(text: str) -> Iterator[str]:
    for each in dockerfile.instructions(text):
        told = each.keyword in {"ARG", "ENV", "LABEL"}
        if told and (SECRET.search(each.text) or confinement.CREDENTIALS.search(each.text)):
            yield f"{each.keyword} {each.text}"


def copies_what_there_is(text: str) -> Iterator[str]:
    ignore = DOCKERIGNORE.read_text(encoding="utf-8")
    names = {first.operands[-1] for first, *_ in stages(text) if len(first.operands) > 1}
    for each in dockerfile.instructions(text):
        if each.keyword != "COPY":
            continue
        if "from" in each.flags:
            if each.flags["from"] not in names:
                yield f"no stage {each.flags['from']}"
            continue
        for source in each.operands[:-1]:
            if not any(path == source or path.startswith(f"{source}/") for path in _tracked()):
                yield f"{source} is not in the repository"
            if left_out(source, ignore):
                yield f"{source} is left out of the build"


def sets_what_is_understood(text: str) -> Iterator[str]:
    try:
        load_config(None, dockerfile.environment(text))
    except ConfigError as error:
        yield str(error)
    exposed = [each.operands for each in stages(text)[-1] if each.keyword == "EXPOSE"]
    if exposed != [[str(port) for port in DEFAULT_PORTS.values()]]:
        yield f"exposes {exposed}"


def says_its_version(text: str) -> Iterator[str]:
    last = stages(text)[-1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if assignments(last, "ARG").get("VERSION") != project["version"]:
        yield f"the version is {assignments(last, 'ARG').get('VERSION')}"
    if "org.opencontainers.image.version" not in assignments(last, "LABEL"):
        yield "no label has the version"


MISTAKES: tuple[tuple[Rule, str, str], ...] = (
    (stands_on_a_known_base, "BASE=python:3.11-slim", "BASE=python"),
    (stands_on_a_known_base, "BASE=python:3.11-slim", "BASE=python:latest"),
    (stands_on_a_known_base, "FROM ${BASE} AS build", "FROM ${OTHER} AS build"),
    (ends_as_nobody, "USER 65532:65532\n", ""),
    (ends_as_nobody, "USER 65532:65532", "USER coterie"),
    (ends_as_nobody, "USER 65532:65532", "USER 65532:65532\nUSER 0"),
    (ends_as_nobody, "USER", 'ENTRYPOINT ["coterie"]\nUSER'),
    (needs_no_shell, 'ENTRYPOINT ["coterie"]', ""),
    (needs_no_shell, 'ENTRYPOINT ["coterie"]', "ENTRYPOINT coterie"),
    (needs_no_shell, 'CMD ["up"]', "CMD coterie up"),
    (needs_no_shell, "WORKDIR /data", "RUN mkdir /more"),
    (fetches_nothing_unseen, "COPY protos", "ADD https://example.com/protos.tar"),
    (fetches_nothing_unseen, "RUN pip wheel", "RUN curl -O https://example.com; pip wheel"),
    (holds_no_secret, "ARG REVISION=unknown", "ARG INDEX_PASSWORD"),
    (holds_no_secret, "HOME=/tmp", "COTERIE_DATABASE_URL=postgresql+psycopg://a:b@db/coterie"),
    (copies_what_there_is, "COPY segcore segcore", "COPY segment segcore"),
    (copies_what_there_is, "COPY segcore segcore", "COPY tests tests"),
    (copies_what_there_is, "--from=build /opt", "--from=built /opt"),
    (sets_what_is_understood, "COTERIE_DATA_DIR", "COTERIE_DATADIR"),
    (sets_what_is_understood, " 7105", ""),
    (says_its_version, "VERSION=0.1.0", "VERSION=9.9.9"),
    (says_its_version, "image.version=", "image.edition="),
)
RULES = (
    stands_on_a_known_base,
    ends_as_nobody,
    needs_no_shell,
    fetches_nothing_unseen,
    holds_no_secret,
    copies_what_there_is,
    sets_what_is_understood,
    says_its_version,
)


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule.__name__) for rule in RULES])
def test_the_image_keeps_every_rule(rule: Rule) -> None:
    assert list(rule(TEXT)) == []


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [pytest.param(*each, id=f"{each[0].__name__}-{each[2][:30]}") for each in MISTAKES],
)
def test_a_mistake_in_the_image_is_found(rule: Rule, right: str, wrong: str) -> None:
    assert right in TEXT
    assert list(rule(TEXT.replace(right, wrong))) != []


def test_every_rule_of_the_image_finds_some_mistake() -> None:
    assert {rule for rule, _, _ in MISTAKES} == set(RULES)


def test_the_build_gets_its_sources_and_nothing_else() -> None:
    ignore = DOCKERIGNORE.read_text(encoding="utf-8")
    sent = {path for path in _tracked() if not left_out(path, ignore)}
    folders = ("protos/", "segcore/", "services/")
    wanted = {path for path in _tracked() if path.startswith(folders)}
    assert sent == wanted | {"pyproject.toml", "setup.py", "MANIFEST.in", "README.md"}
    made = (".git/HEAD", ".venv/bin/python", "coterie/type/v1/value_pb2.py", "build/lib/x.py")
    stale = ("segcore/_engine.so", "segcore/_engine.c", "services/kit/__pycache__/clock.pyc")
    data = ("coterie-data/log.db", "demo-data/profile.db")
    assert [path for path in (*made, *stale, *data) if not left_out(path, ignore)] == []


def test_what_is_no_python_is_shipped_or_only_built_from() -> None:
    """A wheel holds what `package-data` names; what it lacks is missed where no checkout is."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    shipped = setuptools["package-data"]["*"]
    built_from = ("*.py", "*.pyx", "*.md")
    lost = [
        path
        for path in _tracked()
        if path.startswith(("segcore/", "services/"))
        and not any(Path(path).match(pattern) for pattern in (*shipped, *built_from))
    ]
    assert lost == [], "name their suffix under [tool.setuptools.package-data]"
