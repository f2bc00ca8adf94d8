"""Mistakes that somebody may make in a manifest, each with the rule that has to find it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.deploy import confinement, operation, reach
from tests.deploy.policy import Rule

GONE = object()
SPEC = ("spec", "template", "spec")
BOX = (*SPEC, "containers", 0)
SETTINGS = "ConfigMap/settings"


@dataclass(frozen=True)
class Mistake:
    """One thing done wrong in one manifest, and the rule that finds it."""

    rule: Rule
    manifest: str
    path: tuple[str | int, ...]
    value: object
    overlay: str = "cluster"


MISTAKES = (
    Mistake(confinement.runs_as_nobody, "Deployment/profile", (*SPEC, "securityContext"), GONE),
    Mistake(
        confinement.runs_as_nobody, "Deployment/journey", (*BOX, "securityContext", "runAsUser"), 0
    ),
    Mistake(
        confinement.runs_as_nobody,
        "StatefulSet/coterie",
        (*SPEC, "securityContext", "seccompProfile", "type"),
        "Unconfined",
        "single",
    ),
    Mistake(confinement.holds_no_privilege, "Deployment/profile", (*BOX, "securityContext"), GONE),
    Mistake(
        confinement.holds_no_privilege,
        "Deployment/profile",
        (*BOX, "securityContext", "capabilities", "add"),
        ["NET_ADMIN"],
    ),
    Mistake(
        confinement.holds_no_privilege,
        "StatefulSet/coterie",
        (*BOX, "securityContext", "readOnlyRootFilesystem"),
        False,  # noqa: FBT003 - the value of a field
        "single",
    ),
    Mistake(
        confinement.shares_nothing_with_the_node,
        "Deployment/profile",
        (*SPEC, "hostNetwork"),
        True,  # noqa: FBT003 - the value of a field
    ),
    Mistake(
        confinement.shares_nothing_with_the_node,
        "Deployment/profile",
        (*SPEC, "volumes", 0),
        {"name": "data", "hostPath": {"path": "/var"}},
    ),
    Mistake(
        confinement.shares_nothing_with_the_node,
        "Deployment/profile",
        (*BOX, "ports", 0, "hostPort"),
        1,
    ),
    Mistake(
        confinement.knows_nothing_of_the_cluster,
        "ServiceAccount/profile",
        ("automountServiceAccountToken",),
        True,  # noqa: FBT003 - the value of a field
    ),
    Mistake(
        confinement.knows_nothing_of_the_cluster,
        "Deployment/profile",
        (*SPEC, "serviceAccountName"),
        "default",
    ),
    Mistake(
        confinement.knows_nothing_of_the_cluster,
        "StatefulSet/coterie",
        (*SPEC, "enableServiceLinks"),
        GONE,
        "single",
    ),
    Mistake(
        confinement.asks_for_what_it_takes,
        "Deployment/profile",
        (*BOX, "resources", "limits"),
        GONE,
    ),
    Mistake(
        confinement.asks_for_what_it_takes,
        "Deployment/profile",
        (*BOX, "resources", "requests", "memory"),
        "2Gi",
    ),
    Mistake(
        confinement.asks_for_what_it_takes,
        "Deployment/profile",
        (*SPEC, "volumes", 1, "emptyDir"),
        {},
    ),
    Mistake(
        operation.is_probed_where_it_serves,
        "Deployment/profile",
        (*BOX, "readinessProbe", "grpc", "port"),
        7101,
    ),
    Mistake(
        operation.is_probed_where_it_serves,
        "Deployment/profile",
        (*BOX, "livenessProbe", "grpc", "service"),
        GONE,
    ),
    Mistake(
        operation.is_probed_where_it_serves,
        "Deployment/profile",
        (*BOX, "startupProbe", "failureThreshold"),
        30,
    ),
    Mistake(
        operation.listens_at_its_ports,
        "Deployment/profile",
        (*BOX, "ports", 0, "containerPort"),
        8080,
    ),
    Mistake(operation.listens_at_its_ports, SETTINGS, ("data", "COTERIE_PORTS"), "{profile: 8080}"),
    Mistake(operation.is_told_what_it_understands, SETTINGS, ("data", "COTERIE_PROTS"), "{}"),
    Mistake(operation.is_told_what_it_understands, SETTINGS, ("data", "COTERIE_ZONE"), "Mars/Base"),
    Mistake(operation.is_told_what_it_understands, SETTINGS, ("data", "COTERIE_HOST"), GONE),
    Mistake(operation.is_told_what_it_understands, SETTINGS, ("data", "COTERIE_CLOCK"), "virtual"),
    Mistake(
        operation.is_told_what_it_understands, SETTINGS, ("data", "COTERIE_FAILPOINT"), "sql.commit"
    ),
    Mistake(
        operation.is_told_what_it_understands,
        "Deployment/profile",
        (*BOX, "envFrom", 0, "configMapRef", "name"),
        "seldom",
    ),
    Mistake(reach.finds_its_peers, SETTINGS, ("data", "COTERIE_PEERS"), GONE),
    Mistake(
        reach.finds_its_peers, SETTINGS, ("data", "COTERIE_PEERS"), '{identity: "identity:80"}'
    ),
    Mistake(
        operation.is_started_with_a_command_there_is,
        "Deployment/profile",
        (*BOX, "args"),
        ["serve", "profiles"],
    ),
    Mistake(
        operation.is_started_with_a_command_there_is,
        "Deployment/profile",
        (*BOX, "args"),
        ["status"],
    ),
    Mistake(
        operation.serves_each_service_once, "Deployment/profile", (*BOX, "args", 1), "identity"
    ),
    Mistake(
        confinement.keeps_secrets_out,
        SETTINGS,
        ("data", "COTERIE_DATABASE_URL"),
        "postgresql+psycopg://coterie:hush@db/coterie",
    ),
    Mistake(
        confinement.keeps_secrets_out,
        SETTINGS,
        ("data", "COTERIE_PROVIDERS"),
        '{email: "smtp://shop:hush@mail.example.com"}',
    ),
    Mistake(
        confinement.keeps_secrets_out,
        "Deployment/profile",
        (*BOX, "env", 0, "valueFrom", "secretKeyRef", "name"),
        "undocumented",
    ),
    Mistake(
        operation.writes_where_it_may, SETTINGS, ("data", "COTERIE_DATA_DIR"), "/data", "single"
    ),
    Mistake(
        operation.writes_where_it_may,
        "StatefulSet/coterie",
        (*BOX, "volumeMounts", 0, "mountPath"),
        "/var/data",
        "single",
    ),
    Mistake(
        operation.writes_where_it_may,
        "Deployment/segmentation",
        (*SPEC, "volumes", 0),
        {"name": "data", "emptyDir": {"sizeLimit": "1Gi"}},
    ),
    Mistake(
        operation.writes_where_it_may,
        "Deployment/segmentation",
        (*SPEC, "volumes", 0, "persistentVolumeClaim", "claimName"),
        "elsewhere",
    ),
    Mistake(operation.writes_where_it_may, "Deployment/profile", (*BOX, "env"), []),
    Mistake(operation.stops_in_its_own_time, SETTINGS, ("data", "COTERIE_DRAIN_SECONDS"), "60"),
    Mistake(
        operation.stops_in_its_own_time,
        "StatefulSet/coterie",
        (*SPEC, "terminationGracePeriodSeconds"),
        GONE,
        "single",
    ),
    Mistake(operation.has_one_owner_at_a_time, "Deployment/profile", ("spec", "replicas"), 2),
    Mistake(operation.has_one_owner_at_a_time, "Deployment/profile", ("spec", "strategy"), GONE),
    Mistake(
        operation.has_one_owner_at_a_time,
        "Deployment/profile",
        ("spec", "progressDeadlineSeconds"),
        GONE,
    ),
    Mistake(
        reach.is_reached_by_its_services,
        "Service/profile",
        ("spec", "selector", "app.kubernetes.io/component"),
        "profiles",
    ),
    Mistake(
        reach.is_reached_by_its_services,
        "Service/profile",
        ("spec", "selector", "app.kubernetes.io/component"),
        GONE,
    ),
    Mistake(reach.is_reached_by_its_services, "Service/profile", ("spec", "ports", 0, "port"), 80),
    Mistake(
        reach.is_reached_by_its_services,
        "Service/profile",
        ("spec", "ports", 0),
        {"name": "identity", "port": 7101, "targetPort": "identity"},
        "single",
    ),
    Mistake(
        reach.is_reached_by_nobody_else,
        "NetworkPolicy/default-deny",
        ("spec", "podSelector", "matchLabels"),
        {"app.kubernetes.io/component": "profile"},
    ),
    Mistake(
        reach.is_reached_by_nobody_else,
        "NetworkPolicy/default-deny",
        ("spec", "policyTypes"),
        ["Ingress"],
    ),
    Mistake(
        reach.is_reached_by_nobody_else,
        "NetworkPolicy/calls-in",
        ("spec", "ingress", 0, "from"),
        GONE,
    ),
    Mistake(
        reach.is_reached_by_nobody_else,
        "NetworkPolicy/calls-in",
        ("spec", "ingress", 0, "ports", 0, "endPort"),
        7104,
    ),
    Mistake(
        reach.calls_only_whom_it_must,
        "NetworkPolicy/providers",
        ("spec", "podSelector", "matchLabels", "app.kubernetes.io/component"),
        GONE,
    ),
    Mistake(
        reach.calls_only_whom_it_must,
        "NetworkPolicy/database",
        ("spec", "egress", 0, "ports", 0, "port"),
        3306,
    ),
    Mistake(
        reach.calls_only_whom_it_must,
        "NetworkPolicy/calls-between",
        ("spec", "egress", 0, "ports", 0, "endPort"),
        7102,
    ),
    Mistake(
        confinement.runs_one_known_version, "Deployment/profile", (*BOX, "image"), "coterie:latest"
    ),
    Mistake(confinement.runs_one_known_version, "Deployment/profile", (*BOX, "image"), "coterie"),
    Mistake(confinement.says_what_it_is, "Service/profile", ("metadata", "namespace"), GONE),
    Mistake(
        confinement.says_what_it_is,
        "Deployment/profile",
        ("spec", "template", "metadata", "labels"),
        {"app.kubernetes.io/component": "profile"},
    ),
    Mistake(confinement.the_cluster_refuses_less, "Namespace/coterie", ("metadata", "labels"), {}),
)
