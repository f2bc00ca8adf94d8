"""What an overlay comes to: its manifests as they are applied, its pods and their settings."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml
from click import Context

from services.host.cli import coterie
from services.kit.config import SERVICES, Config, load_config

Manifest = dict[str, Any]

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
DOCS = ROOT / "docs" / "deploy.md"
OVERLAYS = ("single", "cluster")
_SECRET = re.compile(
    r"kubectl create secret generic (?P<name>\S+)(?:[^\n]|\\\n)*?"
    r"--from-literal='(?P<key>[\w-]+)=(?P<value>[^\n]+)'$",
    re.MULTILINE,
)


def renderer() -> list[str] | None:
    """Return the command that renders a folder, None where neither kubectl nor kustomize is."""
    for command in (["kubectl", "kustomize"], ["kustomize", "build"]):
        if shutil.which(command[0]):
            return command
    return None


@cache
def render(overlay: str) -> str:
    """Return the overlay's manifests as text. Needs a renderer."""
    command = [*(renderer() or ()), str(DEPLOY / "overlays" / overlay)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def read(text: str) -> list[Manifest]:
    """Return the manifests in a text of YAML documents."""
    return [document for document in yaml.safe_load_all(text) if document]


@cache
def documented_secrets() -> Mapping[tuple[str, str], str]:
    """Return the secrets that the documentation says how to create: (name, key) to an example."""
    found = _SECRET.finditer(DOCS.read_text(encoding="utf-8"))
    return {(match["name"], match["key"]): match["value"] for match in found}


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod template with its owner; all of ours have one container."""

    owner: Manifest
    manifests: Sequence[Manifest]
    image: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"{self.owner['kind']}/{self.owner['metadata']['name']}"

    @property
    def labels(self) -> Mapping[str, str]:
        return dict(self.owner["spec"]["template"]["metadata"].get("labels", {}))

    @property
    def spec(self) -> Manifest:
        return dict(self.owner["spec"]["template"]["spec"])

    @property
    def container(self) -> Manifest:
        (only,) = self.spec["containers"]
        return dict(only)

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", ())}

    def environment(self) -> dict[str, str]:
        """Return what the process finds, with documented examples for what secrets hold."""
        found = dict(self.image)
        for source in self.container.get("envFrom", ()):
            name = source["configMapRef"]["name"]
            found |= one(self.manifests, "ConfigMap", name)["data"]
        for entry in self.container.get("env", ()):
            found[entry["name"]] = entry["value"] if "value" in entry else _secret(entry)
        return found

    def settings(self) -> Config:
        """Return the configuration of the process; raises ConfigError as the process would."""
        return load_config(None, self.environment())

    def command(self) -> Context:
        """Return the command that the arguments name; raises click.ClickException as it would."""
        arguments = list(self.container["args"])
        group = coterie.make_context("coterie", arguments, resilient_parsing=True)
        name, command, rest = coterie.resolve_command(group, arguments)
        assert command is not None
        return command.make_context(name, rest, parent=group)

    def served(self) -> tuple[str, ...]:
        """Return the services that the container runs, in the order of their start."""
        named = self.command().params.get("services", SERVICES)
        return tuple(name for name in SERVICES if name in named)


def _secret(entry: Manifest) -> str:
    reference = entry["valueFrom"]["secretKeyRef"]
    return documented_secrets().get((reference["name"], reference["key"]), "")


@dataclass(frozen=True)
class Deployed:
    """The manifests of an overlay, what the image sets, and which version it should be."""

    manifests: Sequence[Manifest]
    image: Mapping[str, str]
    version: str

    @cached_property
    def pods(self) -> list[Pod]:
        return list(pods(self.manifests, self.image))


def pods(manifests: Sequence[Manifest], image: Mapping[str, str]) -> Iterator[Pod]:
    """Yield the pods of what runs any."""
    for manifest in manifests:
        if "template" in manifest.get("spec", {}):
            yield Pod(manifest, manifests, image)


def every(manifests: Sequence[Manifest], kind: str) -> list[Manifest]:
    """Return the manifests of a kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def one(manifests: Sequence[Manifest], kind: str, name: str) -> Manifest:
    """Return the manifest of this kind and name; raises LookupError where there is none."""
    for manifest in every(manifests, kind):
        if manifest["metadata"]["name"] == name:
            return manifest
    raise LookupError(f"no {kind} {name}")


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether labels match all that a selector wants."""
    wanted = selector.get("matchLabels", selector)
    return all(labels.get(key) == value for key, value in wanted.items())
