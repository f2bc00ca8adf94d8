"""The data directory: ours or refused, of this format, each service in it once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from services.kit.datadir import FORMAT, DataDirectory, DataDirectoryError, occupant

ROOT = Path(__file__).resolve().parents[2]


def test_a_missing_directory_is_made_and_opens_again(data_dir: Path) -> None:
    made = DataDirectory(data_dir / "deep", partitions=4)
    assert made.snapshots.is_dir()
    again = DataDirectory(data_dir / "deep", partitions=4)
    assert again.log_path == data_dir / "deep" / "log.db"
    assert again.database_path("profile").name == "profile.db"


def test_another_number_of_partitions_is_refused(data_dir: Path) -> None:
    DataDirectory(data_dir, partitions=4)
    with pytest.raises(DataDirectoryError, match=r"made with 4 partitions, .* says 1"):
        DataDirectory(data_dir)


def test_another_clock_is_refused(data_dir: Path) -> None:
    DataDirectory(data_dir, clock="virtual")
    with pytest.raises(DataDirectoryError, match=r"made with a virtual clock, .* says system"):
        DataDirectory(data_dir)


NAMES = ("crm", "email")


@pytest.mark.parametrize(
    ("names", "unique", "message"),
    [
        (("email", "crm"), ("crm",), "namespaces crm, email; the configuration says email, crm;"),
        (("crm", "ecid"), ("crm",), "namespaces crm, email; the configuration says crm, ecid;"),
        (NAMES, (), "unique_namespaces crm; the configuration says none; that is fixed"),
        (NAMES, NAMES, "unique_namespaces crm; the configuration says crm, email;"),
    ],
)
def test_other_namespaces_are_refused(
    data_dir: Path, names: tuple[str, ...], unique: tuple[str, ...], message: str
) -> None:
    DataDirectory(data_dir, 1, "system", NAMES, ("crm",))
    with pytest.raises(DataDirectoryError, match=message):
        DataDirectory(data_dir, 1, "system", names, unique)


@pytest.mark.parametrize("names", [NAMES, ("crm",), ("crm", "email", "household")])
def test_a_namespace_of_the_lowest_priority_may_be_listed_or_not(
    data_dir: Path, names: tuple[str, ...]
) -> None:
    DataDirectory(data_dir, 1, "system", NAMES, ("crm",))
    DataDirectory(data_dir, 1, "system", names, ("crm",))


def test_a_directory_that_does_not_say_its_namespaces_opens(data_dir: Path) -> None:
    DataDirectory(data_dir)
    content = {"format": FORMAT, "partitions": 1, "clock": "system"}
    (data_dir / "FORMAT").write_text(json.dumps(content))
    DataDirectory(data_dir, 1, "system", NAMES, ("crm",))


def test_another_format_is_refused(data_dir: Path) -> None:
    DataDirectory(data_dir)
    (data_dir / "FORMAT").write_text(json.dumps({"format": 9, "partitions": 1}))
    with pytest.raises(DataDirectoryError, match="data of format 9, this Coterie reads format"):
        DataDirectory(data_dir)


@pytest.mark.parametrize("content", ["", "7", "{}", '{"format": "x"}', "[]"])
def test_a_damaged_format_file_is_refused(data_dir: Path, content: str) -> None:
    DataDirectory(data_dir)
    (data_dir / "FORMAT").write_text(content)
    with pytest.raises(DataDirectoryError, match="not a format file of Coterie's"):
        DataDirectory(data_dir)


def test_a_directory_of_something_else_is_refused_and_left_alone(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "photos").mkdir()
    with pytest.raises(DataDirectoryError, match="found 'photos' and no FORMAT file"):
        DataDirectory(data_dir)
    assert [entry.name for entry in data_dir.iterdir()] == ["photos"]


def test_a_crash_while_it_was_made_leaves_a_directory_that_opens(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / ".FORMAT.123").write_text('{"for')
    assert DataDirectory(data_dir).partitions == 1


def test_a_file_in_its_place_is_refused(data_dir: Path) -> None:
    data_dir.write_text("")
    with pytest.raises(DataDirectoryError, match="File exists"):
        DataDirectory(data_dir)


def test_a_service_runs_once_in_a_directory_and_says_where(data_dir: Path) -> None:
    directory = DataDirectory(data_dir)
    with directory.occupy("profile") as lock:
        lock.announce("127.0.0.1:7102")
        found = occupant(data_dir, "profile")
        assert found is not None
        assert (found.service, found.pid, found.address) == (
            "profile",
            os.getpid(),
            "127.0.0.1:7102",
        )
        message = rf"{data_dir}: process {os.getpid()} runs profile"
        with pytest.raises(DataDirectoryError, match=message), directory.occupy("profile"):
            pass
        with directory.occupy("identity"):
            pass
    assert occupant(data_dir, "profile") is None


def test_the_lock_ends_with_the_process_however_it_ends(data_dir: Path) -> None:
    directory = DataDirectory(data_dir)
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from services.kit.datadir import DataDirectory;"
        "lock = DataDirectory(Path(sys.argv[1])).occupy('profile'); lock.__enter__();"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(data_dir)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.returncode == -9
    assert occupant(data_dir, "profile") is None
    with directory.occupy("profile"):
        pass


def test_another_zone_is_refused(data_dir: Path) -> None:
    DataDirectory(data_dir, zone="Europe/Paris")
    DataDirectory(data_dir, zone="Europe/Paris")
    with pytest.raises(DataDirectoryError, match="zone Europe/Paris; the configuration says UTC"):
        DataDirectory(data_dir, zone="UTC")
