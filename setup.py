"""Builds what TOML cannot say: the gRPC stubs below `coterie/` and the kernels of segcore."""

import shutil
import sys
from pathlib import Path
from typing import ClassVar

import grpc_tools
import numpy as np
from Cython.Build import cythonize
from grpc_tools import protoc
from setuptools import Command, Extension, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PLUGINS = ("protoc-gen-mypy", "protoc-gen-mypy_grpc")


def compile_protos(out: Path) -> None:
    """Write the stubs of every proto below `protos/` to `out`, under the path of its package."""
    roots = [ROOT / "protos", Path(grpc_tools.__file__).parent / "_proto"]
    files = sorted(str(path.relative_to(roots[0])) for path in roots[0].rglob("*.proto"))
    out.mkdir(parents=True, exist_ok=True)
    arguments = [f"-I{root}" for root in roots]
    arguments += [f"--plugin={name}={find_plugin(name)}" for name in PLUGINS]
    arguments += [f"--{kind}_out={out}" for kind in ("python", "grpc_python")]
    arguments += [f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")]
    if protoc.main(["protoc", *arguments, *files]):
        raise RuntimeError("protoc refused the protos; its messages are above")


def find_plugin(name: str) -> str:
    """Return the plugin's path: an isolated build has it on PATH, a plain one beside Python."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name) or shutil.which(name, path=beside)
    if found is None:
        raise RuntimeError(
            f"{name} was found neither on PATH nor in {beside}: install mypy-protobuf"
        )
    return found


def refresh_checkout() -> None:
    """Replace the checkout's stubs at once, so that those of deleted protos go too."""
    fresh = ROOT / "build" / "stubs"
    shutil.rmtree(fresh, ignore_errors=True)
    compile_protos(fresh)
    shutil.rmtree(ROOT / "coterie", ignore_errors=True)
    (fresh / "coterie").replace(ROOT / "coterie")


class BuildPy(build_py):
    """Adds the stubs: to the checkout for an editable install, else to the wheel."""

    def run(self) -> None:
        """Write the stubs first, then what build_py does."""
        if self.editable_mode:
            refresh_checkout()
        else:
            compile_protos(Path(self.build_lib))
        super().run()


class Protos(Command):
    """Writes the stubs to the checkout, as `make protos` needs."""

    description = "write the gRPC stubs to the checkout"
    user_options: ClassVar[list[tuple[str, str, str]]] = []

    def initialize_options(self) -> None:
        """Take no options."""

    def finalize_options(self) -> None:
        """Check none."""

    def run(self) -> None:
        """Write the stubs."""
        refresh_checkout()


kernels = [
    Extension(
        f"segcore.{path.stem}",
        [path.relative_to(ROOT).as_posix()],
        include_dirs=[np.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        # Cython writes conversions that nobody calls.
        extra_compile_args=["-O3", "-g0", "-Wno-unused-function"],
    )
    for path in sorted((ROOT / "segcore").glob("_*.pyx"))
]

setup(
    cmdclass={"build_py": BuildPy, "protos": Protos},
    options={"build_ext": {"parallel": True}},
    ext_modules=cythonize(
        kernels,
        quiet=True,
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
        },
    ),
)
