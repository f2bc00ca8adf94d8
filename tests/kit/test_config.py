"""The configuration: what it does not know it refuses, with the place."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.kit.config import DEFAULT_PORTS, Config, ConfigError, load_config


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "coterie.yaml"
    path.write_text(text)
    return path


def test_defaults_listen_on_loopback_alone() -> None:
    config = load_config(None, {})
    assert config == Config()
    assert config.address("profile") == "127.0.0.1:7102"


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = _file(tmp_path, "partitions: 2\nhost: a\nclock: virtual\n")
    environment = {"COTERIE_PARTITIONS": "3", "COTERIE_HOST": "b", "HOME": "/"}
    config = load_config(file, environment, {"host": "c"})
    assert (config.partitions, config.host, config.clock) == (3, "c", "virtual")


def test_the_environment_writes_lists_and_mappings_as_yaml_or_with_commas() -> None:
    environment = {
        "COTERIE_PORTS": "{identity: 0}",
        "COTERIE_PEERS": "{profile: 'host:1'}",
        "COTERIE_NAMESPACES": "crm, email",
        "COTERIE_UNIQUE_NAMESPACES": "[crm]",
        "COTERIE_DATA_DIR": "123",
    }
    config = load_config(None, environment)
    assert dict(config.ports) == {**DEFAULT_PORTS, "identity": 0}
    assert config.address("profile") == "host:1"
    assert (config.namespaces, config.unique_namespaces) == (("crm", "email"), ("crm",))
    assert config.data_dir == Path("123")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("host: h\npartions: 2\n", r"coterie.yaml:2: unknown setting 'partions'; there are "),
        (
            "\npartitions: two\n",
            r":2: partitions: expected a whole number, found 'two'",
        ),
        ("partitions: true\n", r"coterie.yaml:1: partitions: expected a whole number, found True"),
        ("sample_ratio: [1]\n", r"sample_ratio: expected a number, found \[1\]"),
        ("ports: {mailing: 1}\n", r"ports: expected a mapping by service \(identity, profile"),
        ("namespaces: 7\n", r"namespaces: expected a list of texts, found 7"),
        ("partitions: 0\n", r"coterie.yaml: partitions: expected 1 to 1024, found 0"),
        ("zone: Mars/Olympus\n", r"zone: expected an IANA time zone such as Europe/Paris, found"),
        ("providers: {fax: 'http://x'}\n", r"providers: expected a mapping by channel \(email"),
        ("providers: {sms: 'smtp://x'}\n", r"providers: expected for sms a URL with a host, http"),
        (
            "database_url: 'mysql://u:p@h/d'\n",
            r":1: database_url: expected a URL such as postgresql",
        ),
        ("sample_ratio: 2\n", r"sample_ratio: expected 0 to 1, found 2.0"),
        ("clock: fast\n", r"clock: expected system or virtual, found 'fast'"),
        ("namespaces: [crm, crm]\n", r"namespaces: expected at least one namespace, and each once"),
        ("namespaces: [crm]\n", r"unique_namespaces: expected names .* found 'loyalty'"),
        ("- host\n", r"coterie.yaml: expected `key: value` lines"),
        ("host: [\n", r"coterie.yaml: not YAML: "),
    ],
)
def test_a_mistake_in_the_file_is_refused_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(_file(tmp_path, text), {})


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.yaml: No such file"):
        load_config(tmp_path / "none.yaml", {})


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_config(_file(tmp_path, "# all as it comes\n"), {}) == Config()


def test_an_unknown_variable_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match=r"COTERIE_PARTITION: unknown setting 'partition'"):
        load_config(None, {"COTERIE_PARTITION": "3"})


@pytest.mark.parametrize(
    "text",
    [
        "database_url: mysql://ada:secret@host/db\n",
        "database_url: postgresql+psycopg://ada:secret@host\n",
        "database_url: {secret: postgresql}\n",
        "database_url: [secret\n",
        "providers: {sms: 'ftp://ada:secret@host'}\n",
    ],
)
def test_no_mistake_shows_a_password(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(_file(tmp_path, text), {})
    assert "secret" not in str(refused.value)


def test_a_configuration_that_is_printed_shows_no_password() -> None:
    url = "postgresql+psycopg://ada:secret@host/db"
    config = load_config(None, {"COTERIE_DATABASE_URL": url})
    assert config.database_url == url
    assert "secret" not in repr(config)
