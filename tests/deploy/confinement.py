"""What a pod may not do: rules over its user, its rights, its place and what it takes.

A rule yields a sentence for each place where it is broken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.deploy.manifests import Deployed, documented_secrets, every, one, selects

USER = 65532
CREDENTIALS = re.compile(r"://[^/?#\s\"']+@")
"""A user in a URL, and what may follow it; an `@` in its query is a sender's address."""


def runs_as_nobody(deployed: Deployed) -> Iterator[str]:
    wanted: dict[str, Any] = {"runAsNonRoot": True}
    wanted |= dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), USER)
    wanted["seccompProfile"] = {"type": "RuntimeDefault"}
    for pod in deployed.pods:
        found = pod.spec.get("securityContext", {})
        overridden = set(pod.container.get("securityContext", {})) & set(wanted)
        yield from (
            f"{pod.name}: {key} is {found.get(key)}, not {value}"
            for key, value in wanted.items()
            if found.get(key) != value or key in overridden
        )


def holds_no_privilege(deployed: Deployed) -> Iterator[str]:
    wanted = {
        "allowPrivilegeEscalation": False,
        "privileged": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for pod in deployed.pods:
        found = pod.container.get("securityContext", {})
        yield from (
            f"{pod.name}: {key} is {found.get(key)}"
            for key, value in wanted.items()
            if found.get(key) != value
        )


def shares_nothing_with_the_node(deployed: Deployed) -> Iterator[str]:
    kinds = {"name", "emptyDir", "persistentVolumeClaim"}
    for pod in deployed.pods:
        yield from (f"{pod.name}: {key}" for key in pod.spec if key.startswith("host"))
        for port in pod.container["ports"]:
            yield from (f"{pod.name}: {key}" for key in port if key.startswith("host"))
        for volume in pod.spec.get("volumes", ()):
            yield from (f"{pod.name}: volume of {kind}" for kind in volume if kind not in kinds)
        if pod.spec.get("initContainers"):
            yield f"{pod.name}: has init containers, which no rule here looks at"


def knows_nothing_of_the_cluster(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        yield from (
            f"{pod.name}: {key} is not false"
            for key in ("automountServiceAccountToken", "enableServiceLinks")
            if pod.spec.get(key) is not False
        )
        try:
            account = one(deployed.manifests, "ServiceAccount", pod.spec["serviceAccountName"])
        except LookupError as error:
            yield f"{pod.name}: {error}"
        else:
            if account.get("automountServiceAccountToken") is not False:
                yield f"{account['metadata']['name']}: mounts a token"


def asks_for_what_it_takes(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        resources = pod.container.get("resources", {})
        requests, limits = resources.get("requests", {}), resources.get("limits", {})
        if not {"cpu", "memory"} <= set(requests) or "memory" not in limits:
            yield f"{pod.name}: no requests of CPU and memory, or no limit of memory"
        elif _bytes(requests["memory"]) > _bytes(limits["memory"]):
            yield f"{pod.name}: requests more memory than its limit"
        for volume in pod.spec.get("volumes", ()):
            if "emptyDir" in volume and "sizeLimit" not in (volume["emptyDir"] or {}):
                yield f"{pod.name}: {volume['name']} may fill the node"


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * {"Mi": 2**20, "Gi": 2**30}[quantity[-2:]]


def keeps_secrets_out(deployed: Deployed) -> Iterator[str]:
    if every(deployed.manifests, "Secret"):
        yield "a secret is among the manifests"
    for settings in every(deployed.manifests, "ConfigMap"):
        yield from (
            f"{key} holds credentials"
            for key, value in settings["data"].items()
            if CREDENTIALS.search(value)
        )
    for pod in deployed.pods:
        for entry in pod.container.get("env", ()):
            if CREDENTIALS.search(entry.get("value", "")):
                yield f"{pod.name}: {entry['name']} holds credentials"
            reference = entry.get("valueFrom", {}).get("secretKeyRef")
            if reference and (reference["name"], reference["key"]) not in documented_secrets():
                yield f"{pod.name}: nobody is told how to make the secret {reference['name']}"


def runs_one_known_version(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        tag = pod.container["image"].rpartition(":")[2]
        if tag != deployed.version:
            yield f"{pod.name}: image {pod.container['image']} is not {deployed.version}"


def says_what_it_is(deployed: Deployed) -> Iterator[str]:
    for manifest in deployed.manifests:
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        if manifest["kind"] != "Namespace" and not manifest["metadata"].get("namespace"):
            yield f"{name}: is in no namespace"
    wanted = {f"app.kubernetes.io/{key}" for key in ("name", "component", "part-of")}
    for pod in deployed.pods:
        if not wanted <= set(pod.labels):
            yield f"{pod.name}: labels are {sorted(pod.labels)}"
        if not selects(pod.owner["spec"]["selector"], pod.labels):
            yield f"{pod.name}: does not select its own pods"


def the_cluster_refuses_less(deployed: Deployed) -> Iterator[str]:
    for namespace in every(deployed.manifests, "Namespace"):
        level = namespace["metadata"].get("labels", {}).get("pod-security.kubernetes.io/enforce")
        if level != "restricted":
            yield f"namespace {namespace['metadata']['name']} enforces {level}"
