"""The overlays as they would be applied: valid for Kubernetes, and by rules of our own."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest

from services.kit.config import load_config
from tests.deploy import confinement, dockerfile, policy
from tests.deploy.manifests import (
    DEPLOY,
    OVERLAYS,
    ROOT,
    Deployed,
    Manifest,
    one,
    read,
    render,
    renderer,
)
from tests.deploy.mistakes import GONE, MISTAKES, Mistake
from tests.deploy.policy import Rule

KUBERNETES = ("1.29", "1.34", kubernetes_validate.latest_version())
"""The oldest that the documentation names, one in the middle, and the newest that is known here."""

needs_renderer = pytest.mark.skipif(
    renderer() is None, reason="NOT CHECKED: rendering the overlays needs kubectl or kustomize"
)


@cache
def _version() -> str:
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])


def _deployed(manifests: list[Manifest]) -> Deployed:
    text = dockerfile.DOCKERFILE.read_text(encoding="utf-8")
    return Deployed(manifests, dockerfile.environment(text), _version())


@cache
def _overlay(name: str) -> Deployed:
    return _deployed(read(render(name)))


def _named(items: Iterable[Callable[..., object]]) -> list[Any]:
    return [pytest.param(item, id=item.__name__) for item in items]


@needs_renderer
@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("rule", _named(policy.RULES))
def test_an_overlay_keeps_every_rule(overlay: str, rule: Rule) -> None:
    assert list(rule(_overlay(overlay))) == []


@needs_renderer
@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_has_every_field_of_an_overlay(overlay: str, version: str) -> None:
    for manifest in _overlay(overlay).manifests:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("version", KUBERNETES)
def test_kubernetes_has_every_field_of_the_files(version: str) -> None:
    files = [*(DEPLOY / "base").glob("*.yaml"), DEPLOY / "overlays/single/coterie.yaml"]
    manifests = [each for file in files for each in read(file.read_text(encoding="utf-8"))]
    for manifest in manifests:
        if manifest["kind"] != "Kustomization":
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_field_that_kubernetes_does_not_have_is_noticed() -> None:
    manifest = read((DEPLOY / "base/identity.yaml").read_text(encoding="utf-8"))[-1]
    manifest["spec"]["template"]["spec"]["terminationGracePeriod"] = 45
    with pytest.raises(kubernetes_validate.ValidationError, match="terminationGracePeriod"):
        kubernetes_validate.validate(manifest, KUBERNETES[0], strict=True)


@pytest.mark.parametrize(
    "rule", _named([confinement.runs_as_nobody, confinement.holds_no_privilege])
)
def test_the_base_is_safe_as_it_is_written(rule: Rule) -> None:
    files = (DEPLOY / "base").glob("*.yaml")
    manifests = [each for file in files for each in read(file.read_text(encoding="utf-8"))]
    assert len(_deployed(manifests).pods) == 5
    assert list(rule(_deployed(manifests))) == []


def test_a_setting_that_is_shown_as_an_example_is_understood() -> None:
    lines = (DEPLOY / "base/settings.env").read_text(encoding="utf-8").splitlines()
    examples = [line.removeprefix("# ") for line in lines if line.startswith("# COTERIE_")]
    assert load_config(None, dict(line.split("=", 1) for line in examples)).providers


def _made(mistake: Mistake) -> Deployed:
    manifests = copy.deepcopy(list(_overlay(mistake.overlay).manifests))
    kind, _, name = mistake.manifest.partition("/")
    names = [each["metadata"]["name"] for each in manifests if each["kind"] == kind]
    full = next(each for each in names if each == name or each.startswith(f"{name}-"))
    place: Any = one(manifests, kind, full)
    *path, last = mistake.path
    for step in path:
        place = place[step]
    if mistake.value is GONE:
        del place[last]
    else:
        place[last] = mistake.value
    return _deployed(manifests)


@needs_renderer
@pytest.mark.parametrize(
    "mistake",
    [pytest.param(each, id=f"{each.rule.__name__}-{each.path[-1]}") for each in MISTAKES],
)
def test_a_mistake_is_found_by_its_rule(mistake: Mistake) -> None:
    assert list(mistake.rule(_made(mistake))) != []


def test_every_rule_finds_some_mistake() -> None:
    assert {mistake.rule for mistake in MISTAKES} == set(policy.RULES)
