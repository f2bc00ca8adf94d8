"""Runs decoder and column writer over random and broken bytes, built with the address sanitizer.

    python tests/fuzz/sanitized.py [--packs 2000] [--changes 8] [--seed 1] [--kernels _decode ...]

Needs gcc with libasan. The kernels are built aside; what reads or writes where it must not ends the
run with the sanitizer's report and a status that is not 0.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import numpy as np
from Cython.Build import cythonize
from setuptools import Extension

ROOT = Path(__file__).resolve().parents[2]
KERNELS = (
    "_columns",
    "_texts",
    "_memo",
    "_catalog",
    "_batch",
    "_event_wire",
    "_decode",
    "_event_writer",
)
FUZZERS = ("decoding.py", "column_writing.py")
DIRECTIVES = {
    "language_level": "3",
    "boundscheck": False,
    "wraparound": False,
    "initializedcheck": False,
    "cdivision": True,
}
"""Those of `setup.py`: with the checks of Cython it would not be the same code."""


def build(folder: Path, kernels: list[str]) -> None:
    """Copy segcore to `folder`, with these kernels built anew; the others stay as they are."""
    shutil.copytree(ROOT / "segcore", folder / "segcore", ignore=shutil.ignore_patterns("*.c"))
    os.chdir(folder)
    made = cythonize(
        [
            Extension(f"segcore.{name}", [f"segcore/{name}.pyx"], include_dirs=[np.get_include()])
            for name in kernels
        ],
        quiet=True,
        compiler_directives=DIRECTIVES,
    )
    for extension in made:
        name = extension.name.split(".")[-1]
        target = f"segcore/{name}{sysconfig.get_config_var('EXT_SUFFIX')}"
        subprocess.run(_command(extension.sources, target), check=True)
        print(f"built {extension.name}", flush=True)  # noqa: T201  it takes a while


def _command(sources: list[str], target: str) -> list[str]:
    includes = [f"-I{sysconfig.get_path('include')}", f"-I{np.get_include()}"]
    sanitized = ["-O1", "-g", "-fno-omit-frame-pointer", "-fsanitize=address"]
    return ["gcc", "-shared", "-fPIC", *sanitized, *includes, *sources, "-o", target]


def run(folder: Path, arguments: list[str]) -> int:
    """Run the fuzzers over the built kernels; return the first status that is not 0."""
    library = subprocess.run(
        ["gcc", "-print-file-name=libasan.so"],  # noqa: S607  the compiler of the machine
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    environment = {
        **os.environ,
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",  # Python leaves its own
        "PYTHONMALLOC": "malloc",  # each object in a place of its own, with guards around it
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
    }
    for name in FUZZERS:
        command = [sys.executable, str(ROOT / "tests" / "fuzz" / name), *arguments]
        status = subprocess.run(command, env=environment, cwd=folder, check=False).returncode
        if status:
            return status
    return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernels", nargs="+", default=list(KERNELS))
    given, arguments = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        build(Path(name), given.kernels)
        sys.exit(run(Path(name), arguments))


if __name__ == "__main__":
    main()
