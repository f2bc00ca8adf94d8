"""Who reaches whom: rules over services, peers and network policies.

A rule yields a sentence for each place where it is broken.
"""

from __future__ import annotations

from collections.abc import Iterator

from services.kit.config import DEFAULT_PORTS, SERVICES
from tests.deploy.manifests import Deployed, Manifest, every, one, selects


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
