"""What every overlay keeps to. A rule yields a sentence for each place where it is broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

import click

from services.host.running import STAGE_STOP_S
from services.kit.config import DEFAULT_PORTS, SERVICES, ConfigError
from services.kit.rpc.server import LIVENESS
from tests.deploy.manifests import Manifest, Pod, documented_secrets, every, one, pods, selects

USER = 65532
CATCH_UP_S = 600
"""A start after a loss of snapshots replays the log; with less patience it never ends."""

CREDENTIALS = re.compile(r"://[^/?#\s\"']+@")
"""A user in a URL, and what may follow it; an `@` in its query is a sender's address."""


@dataclass(frozen=True)
class Deployed:
    """The manifests of an overlay, and what the image sets."""

    manifests: Sequence[Manifest]
    image: Mapping[str, str]
    version: str

    @cached_property
    def pods(self) -> list[Pod]:
        return list(pods(self.manifests, self.image))


Rule = Callable[[Deployed], Iterator[str]]


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


def is_probed_where_it_serves(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        port = DEFAULT_PORTS[pod.served()[-1]]
        wanted = {
            "startupProbe": {"port": port},
            "readinessProbe": {"port": port},
            "livenessProbe": {"port": port, "service": LIVENESS},
        }
        for name, grpc in wanted.items():
            found = pod.container.get(name, {})
            if found.get("grpc") != grpc:
                yield f"{pod.name}: {name} asks {found.get('grpc')}, not {grpc}"
        if _patience_s(pod) < CATCH_UP_S:
            yield f"{pod.name}: gives up on a start after {_patience_s(pod)} s"


def _patience_s(pod: Pod) -> int:
    probe = pod.container.get("startupProbe", {})
    return int(probe.get("periodSeconds", 10) * probe.get("failureThreshold", 3))


def listens_at_its_ports(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        wanted = {name: DEFAULT_PORTS[name] for name in pod.served()}
        if pod.ports != wanted or dict(pod.settings().ports) != DEFAULT_PORTS:
            yield f"{pod.name}: names ports {pod.ports}, not {wanted}"


def is_told_what_it_understands(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        try:
            settings = pod.settings()
        except (ConfigError, LookupError) as error:
            yield f"{pod.name}: {error}"
            continue
        if settings.host != "0.0.0.0":  # noqa: S104 - the pod's own network, behind its policies
            yield f"{pod.name}: listens on {settings.host}, where no probe reaches it"
        if settings.clock != "system":
            yield f"{pod.name}: has a {settings.clock} clock"


def finds_its_peers(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        peers = pod.settings().peers
        for name in set(SERVICES) - set(pod.served()) | set(peers):
            host, _, port = peers.get(name, "").partition(":")
            try:
                service = one(deployed.manifests, "Service", host)
            except LookupError as error:
                yield f"{pod.name}: looks for {name}, but {error}"
                continue
            if host != name or port not in [str(p["port"]) for p in service["spec"]["ports"]]:
                yield f"{pod.name}: looks for {name} at {peers[name]}"


def is_started_with_a_command_there_is(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        try:
            context = pod.command()
        except click.ClickException as error:
            yield f"{pod.name}: {error.format_message()}"
            continue
        if context.command.name not in {"up", "serve"} or "command" in pod.container:
            yield f"{pod.name}: runs {context.command.name}"


def serves_each_service_once(deployed: Deployed) -> Iterator[str]:
    served = sorted(name for pod in deployed.pods for name in pod.served())
    if served != sorted(SERVICES):
        yield f"served are {served}"


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


def writes_where_it_may(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        mounts = {mount["mountPath"]: mount["name"] for mount in pod.container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in _volumes(pod)}
        data = PurePosixPath(pod.settings().data_dir)
        if set(mounts) != {"/data", "/tmp"} or set(mounts.values()) != set(volumes):  # noqa: S108
            yield f"{pod.name}: mounts {mounts} of {sorted(volumes)}"
        elif PurePosixPath("/data") not in data.parents:
            yield f"{pod.name}: {data} is not below the volume's root, which is not always empty"
        else:
            yield from _keeps_what_it_must(pod, volumes[mounts["/data"]])


def _volumes(pod: Pod) -> Iterator[Manifest]:
    yield from pod.spec.get("volumes", ())
    for claim in pod.owner["spec"].get("volumeClaimTemplates", ()):
        yield {"name": claim["metadata"]["name"], "template": claim}


def _keeps_what_it_must(pod: Pod, volume: Manifest) -> Iterator[str]:
    """Without a database all data is on the volume; with one, segmentation's snapshots are."""
    must = "segmentation" in pod.served() or not pod.environment().get("COTERIE_DATABASE_URL")
    if must and "emptyDir" in volume:
        yield f"{pod.name}: what it must keep is lost with the pod"
    claim = volume.get("persistentVolumeClaim", {}).get("claimName")
    if claim:
        try:
            one(pod.manifests, "PersistentVolumeClaim", claim)
        except LookupError as error:
            yield f"{pod.name}: {error}"


def stops_in_its_own_time(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        each = pod.settings().drain_seconds + STAGE_STOP_S
        needed, given = each * len(pod.served()), pod.spec.get("terminationGracePeriodSeconds", 30)
        if given <= needed:
            yield f"{pod.name}: is killed after {given} s, but may need {needed:g}"


def has_one_owner_at_a_time(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        spec = pod.owner["spec"]
        if spec.get("replicas") != 1:
            yield f"{pod.name}: {spec.get('replicas')} replicas"
        if pod.owner["kind"] == "Deployment":
            if spec.get("strategy") != {"type": "Recreate"}:
                yield f"{pod.name}: {spec.get('strategy')} runs two at a time"
            if spec.get("progressDeadlineSeconds", 600) <= _patience_s(pod):
                yield f"{pod.name}: a slow start would count as a failed one"


def is_reached_by_its_services(deployed: Deployed) -> Iterator[str]:
    services = {
        each["metadata"]["name"]: each["spec"] for each in every(deployed.manifests, "Service")
    }
    yield from (f"no Service {name}" for name in SERVICES if name not in services)
    for name, spec in services.items():
        behind = [pod for pod in deployed.pods if selects(spec["selector"], pod.labels)]
        if len(behind) != 1:
            yield f"Service {name}: {len(behind)} kinds of pods are behind it"
            continue
        for port in spec["ports"]:
            target = behind[0].ports.get(port["targetPort"])
            if target != port["port"] or DEFAULT_PORTS.get(port["name"]) != target:
                yield f"Service {name}: port {port['name']} leads to {target}"
        if name in SERVICES and [port["name"] for port in spec["ports"]] != [name]:
            yield f"Service {name}: does not lead to {name}"


def is_reached_by_nobody_else(deployed: Deployed) -> Iterator[str]:
    policies = [each["spec"] for each in every(deployed.manifests, "NetworkPolicy")]
    for pod in deployed.pods:
        mine = [spec for spec in policies if selects(spec["podSelector"], pod.labels)]
        denied = [s for s in mine if not s.get("ingress") and not s.get("egress")]
        covered = {kind for spec in denied for kind in spec["policyTypes"]}
        if covered != {"Ingress", "Egress"}:
            yield f"{pod.name}: nothing denies by default"
        incoming = [rule for spec in mine for rule in spec.get("ingress", ())]
        if any(not rule.get("from") or not rule.get("ports") for rule in incoming):
            yield f"{pod.name}: anybody may call"
        if any(not rule.get("ports") for spec in mine for rule in spec.get("egress", ())):
            yield f"{pod.name}: may call any port"
        for port in pod.ports.values():
            if not any(_opens(rule, port) for rule in incoming):
                yield f"{pod.name}: nobody may call port {port}"


def calls_only_whom_it_must(deployed: Deployed) -> Iterator[str]:
    """Only messaging speaks to the internet; who has a database may reach one."""
    policies = [each["spec"] for each in every(deployed.manifests, "NetworkPolicy")]
    for pod in deployed.pods:
        mine = [spec for spec in policies if selects(spec["podSelector"], pod.labels)]
        rules = [rule for spec in mine for rule in spec.get("egress", ())]
        outside = any("ipBlock" in to for rule in rules for to in rule.get("to", ()))
        if outside != ("messaging" in pod.served()):
            yield f"{pod.name}: {'may' if outside else 'cannot'} call the internet"
        database = bool(pod.environment().get("COTERIE_DATABASE_URL"))
        if any(_opens(rule, 5432) for rule in rules) != database:
            yield f"{pod.name}: {'cannot' if database else 'may'} reach a database"
        for name in pod.settings().peers:
            if not any(_opens(rule, DEFAULT_PORTS[name]) for rule in rules):
                yield f"{pod.name}: cannot call {name}"


def _opens(rule: Manifest, port: int) -> bool:
    return any(
        entry["port"] <= port <= entry.get("endPort", entry["port"]) for entry in rule["ports"]
    )


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


RULES: tuple[Rule, ...] = (
    runs_as_nobody,
    holds_no_privilege,
    shares_nothing_with_the_node,
    knows_nothing_of_the_cluster,
    asks_for_what_it_takes,
    is_probed_where_it_serves,
    listens_at_its_ports,
    is_told_what_it_understands,
    finds_its_peers,
    is_started_with_a_command_there_is,
    serves_each_service_once,
    keeps_secrets_out,
    writes_where_it_may,
    stops_in_its_own_time,
    has_one_owner_at_a_time,
    is_reached_by_its_services,
    is_reached_by_nobody_else,
    calls_only_whom_it_must,
    runs_one_known_version,
    says_what_it_is,
    the_cluster_refuses_less,
)
