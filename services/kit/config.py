"""The configuration: defaults, then a YAML file, then `COTERIE_*` from the environment.

What it does not know it refuses, with the place, so that a typo never means the default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import yaml
from yaml.constructor import SafeConstructor

from services.kit import failpoints
from services.kit.postgres import check_url

_T = TypeVar("_T")

SERVICES = ("identity", "profile", "segmentation", "messaging", "journey")
DEFAULT_PORTS = MappingProxyType({name: 7101 + number for number, name in enumerate(SERVICES)})
FREE_PORTS = MappingProxyType(dict.fromkeys(SERVICES, 0))
"""Any free port for each: for tests, and for a suite that nobody else has to find."""
MAX_PORT = 65535
MAX_PARTITIONS = 1024
"""More would be a mistake: a partition is a thread and a file of each stage."""
ENV_PREFIX = "COTERIE_"
LOG_LEVELS = ("debug", "info", "warning", "error")
CLOCKS = ("system", "virtual")
PROVIDER_SCHEMES = MappingProxyType(
    {
        "email": ("smtp", "smtps"),
        "sms": ("http", "https"),
        "push": ("http", "https"),
        "assistant": ("http", "https"),
    }
)
"""The channels, and how the provider of each is spoken to."""


_SECRET = frozenset({"database_url", "providers"})
"""Settings that may hold a password: no message repeats their values."""


class ConfigError(Exception):
    """The configuration is wrong: where, what was found, what was expected."""


@dataclass(frozen=True, slots=True)
class Config:
    """How one process runs. Ports of 0 mean any free port."""

    data_dir: Path = Path("coterie-data")
    host: str = "127.0.0.1"
    ports: Mapping[str, int] = field(default_factory=lambda: DEFAULT_PORTS)
    peers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    partitions: int = 1
    clock: Literal["system", "virtual"] = "system"
    log_level: str = "info"
    otlp_endpoint: str | None = None
    sample_ratio: float = 0.01
    max_backlog_packs: int = 5000
    namespaces: tuple[str, ...] = ("crm", "loyalty", "email", "phone", "ecid")
    unique_namespaces: tuple[str, ...] = ("crm", "loyalty")
    drain_seconds: float = 10.0
    zone: str = "UTC"
    providers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    database_url: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            expected = check(getattr(self, name))
            if expected:
                found = _found(name, getattr(self, name))
                raise ConfigError(f"{name}: expected {expected}{found}")
        stray = [name for name in self.unique_namespaces if name not in self.namespaces]
        if stray:
            raise ConfigError(
                f"unique_namespaces: expected names that `namespaces` lists, found {stray[0]!r}"
            )

    def address(self, service: str) -> str:
        """Return where the service is: as `peers` says, else on this host at its port."""
        return self.peers.get(service) or f"{self.host}:{self.ports[service]}"


def load_config(
    file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object] | None = None
) -> Config:
    """Return the configuration; later sources win: file, environment, `overrides` (flags).

    Raises ConfigError with file and line, or with the variable's name.
    """
    values: dict[str, object] = {}
    for place, key, value in (*_from_file(file), *_from_environment(environ)):
        values[key] = _read(place, key, value)
    for key, value in (overrides or {}).items():
        values[key] = _read(f"--{key}", key, value)
    try:
        return Config(**values)  # type: ignore[arg-type]  # each was read by its own reader
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}" if file else str(error)) from None


def _from_file(file: Path | None) -> Iterator[tuple[str, str, object]]:
    if file is None:
        return
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: not YAML: {_mistake(error)}") from None
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        raise ConfigError(f"{file}: expected `key: value` lines, found something else")
    for key, value in root.value:
        place = f"{file}:{key.start_mark.line + 1}"
        yield place, str(key.value), SafeConstructor().construct_document(value)


def _mistake(error: Exception) -> str:
    """Return what is wrong, and where; the text itself may be a secret."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem or 'a mistake'} (line {error.problem_mark.line + 1})"
    return type(error).__name__


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and name != failpoints.VARIABLE:
            key = name.removeprefix(ENV_PREFIX).lower()
            yield name, key, _from_text(key, environ[name])


def _from_text(key: str, text: str) -> object:
    if _READERS.get(key) in (_text, _optional_text, _path, _database_url):
        return text
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _read(place: str, key: str, value: object) -> object:
    if key not in _READERS:
        known = ", ".join(sorted(_READERS))
        raise ConfigError(f"{place}: unknown setting {key!r}; there are {known}")
    try:
        return _READERS[key](value)
    except _Mismatch as mismatch:
        found = _found(key, value)
        raise ConfigError(f"{place}: {key}: expected {mismatch}{found}") from None


def _found(key: str, value: object) -> str:
    return "" if key in _SECRET else f", found {value!r}"


class _Mismatch(Exception):
    """Carries what was expected; it never leaves this module."""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise _Mismatch("a text")
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None or value == "" else _text(value)


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Mismatch("a whole number")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Mismatch("a number")
    return float(value)


def _path(value: object) -> Path:
    return value if isinstance(value, Path) else Path(_text(value))


def _texts(value: object) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise _Mismatch("a list of texts")
    return tuple(_text(part.strip() if isinstance(part, str) else part) for part in parts)


def _by_service(value: object, read: Callable[[object], _T]) -> dict[str, _T]:
    if not isinstance(value, Mapping):
        raise _Mismatch("a mapping by service")
    stray = [name for name in value if name not in SERVICES]
    if stray:
        raise _Mismatch(f"a mapping by service ({', '.join(SERVICES)})")
    return {str(name): read(entry) for name, entry in value.items()}


def _providers(value: object) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise _Mismatch("a mapping of channels to URLs")
    for channel, url in value.items():
        schemes = PROVIDER_SCHEMES.get(channel)
        if schemes is None:
            raise _Mismatch(f"a mapping by channel ({', '.join(PROVIDER_SCHEMES)})")
        parts = urlsplit(_text(url))
        if parts.scheme not in schemes or not parts.hostname:
            raise _Mismatch(f"for {channel} a URL with a host, {' or '.join(schemes)}")
    return MappingProxyType(dict(value))


def _database_url(value: object) -> str | None:
    url = _optional_text(value)
    expected = check_url(url) if url else ""
    if expected:
        raise _Mismatch(expected)
    return url


def _zone(value: object) -> str:
    try:
        return ZoneInfo(_text(value)).key
    except (KeyError, OSError, ValueError):
        raise _Mismatch("an IANA time zone such as Europe/Paris") from None


def _port(value: int) -> bool:
    return 0 <= value <= MAX_PORT


def _merged_ports(value: object) -> Mapping[str, int]:
    return MappingProxyType({**DEFAULT_PORTS, **_by_service(value, _whole)})


def _peers(value: object) -> Mapping[str, str]:
    return MappingProxyType(_by_service(value, _text))


_READERS: Mapping[str, Callable[[object], object]] = {
    "data_dir": _path,
    "host": _text,
    "ports": _merged_ports,
    "peers": _peers,
    "partitions": _whole,
    "clock": _text,
    "log_level": _text,
    "otlp_endpoint": _optional_text,
    "sample_ratio": _number,
    "max_backlog_packs": _whole,
    "namespaces": _texts,
    "unique_namespaces": _texts,
    "drain_seconds": _number,
    "zone": _zone,
    "providers": _providers,
    "database_url": _database_url,
}


def _expect(condition: bool, expected: str) -> str:  # noqa: FBT001 - reads as a sentence
    return "" if condition else expected


_CHECKS: Mapping[str, Callable[[Any], str]] = {
    "ports": lambda ports: _expect(
        all(map(_port, ports.values())), f"ports from 0 (any free one) to {MAX_PORT}"
    ),
    "partitions": lambda count: _expect(1 <= count <= MAX_PARTITIONS, f"1 to {MAX_PARTITIONS}"),
    "clock": lambda clock: _expect(clock in CLOCKS, " or ".join(CLOCKS)),
    "log_level": lambda level: _expect(level in LOG_LEVELS, " or ".join(LOG_LEVELS)),
    "sample_ratio": lambda ratio: _expect(0 <= ratio <= 1, "0 to 1"),
    "max_backlog_packs": lambda packs: _expect(packs > 0, "more than 0"),
    "namespaces": lambda names: _expect(
        0 < len(names) == len(set(names)), "at least one namespace, and each once"
    ),
    "drain_seconds": lambda seconds: _expect(seconds >= 0, "0 or more"),
}
