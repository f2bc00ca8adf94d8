"""All rules that an overlay keeps to."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.deploy import confinement, operation, reach
from tests.deploy.manifests import Deployed

Rule = Callable[[Deployed], Iterator[str]]

RULES: tuple[Rule, ...] = (
    confinement.runs_as_nobody,
    confinement.holds_no_privilege,
    confinement.shares_nothing_with_the_node,
    confinement.knows_nothing_of_the_cluster,
    confinement.asks_for_what_it_takes,
    confinement.keeps_secrets_out,
    confinement.runs_one_known_version,
    confinement.says_what_it_is,
    confinement.the_cluster_refuses_less,
    operation.is_started_with_a_command_there_is,
    operation.serves_each_service_once,
    operation.is_told_what_it_understands,
    operation.listens_at_its_ports,
    operation.is_probed_where_it_serves,
    operation.writes_where_it_may,
    operation.stops_in_its_own_time,
    operation.has_one_owner_at_a_time,
    reach.is_reached_by_its_services,
    reach.finds_its_peers,
    reach.is_reached_by_nobody_else,
    reach.calls_only_whom_it_must,
)
