"""How a pod runs: rules over its command, settings, probes, data, stop and number.

A rule yields a sentence for each place where it is broken.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

import click

from services.host.running import STAGE_STOP_S
from services.kit import failpoints
from services.kit.config import DEFAULT_PORTS, SERVICES, ConfigError
from services.kit.rpc.server import LIVENESS
from tests.deploy.manifests import Deployed, Manifest, Pod, one

CATCH_UP_S = 600
"""A start after a loss of snapshots replays the log; with less patience it never ends."""


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


def is_told_what_it_understands(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        try:
            settings = pod.settings()
        except (ConfigError, LookupError) as error:
            yield f"{pod.name}: {error}"
            continue
        if settings.host != "0.0.0.0":  # noqa: S104 - the pod's own network, behind its policies
            yield f"{pod.name}: listens on {settings.host}, where no probe reaches it"
        if failpoints.VARIABLE in pod.environment():
            yield f"{pod.name}: is told to fail"
        if settings.clock != "system":
            yield f"{pod.name}: has a {settings.clock} clock"


def listens_at_its_ports(deployed: Deployed) -> Iterator[str]:
    for pod in deployed.pods:
        wanted = {name: DEFAULT_PORTS[name] for name in pod.served()}
        if pod.ports != wanted or dict(pod.settings().ports) != DEFAULT_PORTS:
            yield f"{pod.name}: names ports {pod.ports}, not {wanted}"


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
