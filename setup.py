"""Builds what TOML cannot say: the gRPC stubs under `coterie/` and the Cython kernels of segcore."""

from pathlib import Path

import numpy
from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


def compile_protos(out: Path) -> None:
    """Write the stubs of every proto below `protos/` to `out`, under the path of its package."""
    import grpc_tools
    from grpc_tools import protoc

    roots = [ROOT / "protos", Path(grpc_tools.__file__).parent / "_proto"]
    files = sorted(str(path.relative_to(roots[0])) for path in roots[0].rglob("*.proto"))
    out.mkdir(parents=True, exist_ok=True)
    kinds = ["python", "grpc_python", "mypy", "mypy_grpc"]
    arguments = [f"-I{root}" for root in roots] + [f"--{kind}_out={out}" for kind in kinds]
    if protoc.main(["protoc", *arguments, *files]):
        raise RuntimeError("protoc refused the protos; its messages are above")


class BuildPy(build_py):
    """Adds the stubs: to the checkout for an editable install, else to the wheel."""

    def run(self) -> None:
        compile_protos(ROOT if self.editable_mode else Path(self.build_lib))
        super().run()


kernels = [
    Extension(
        f"segcore.{path.stem}",
        [path.relative_to(ROOT).as_posix()],
        include_dirs=[numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_1_7_API_VERSION")],
        extra_compile_args=["-O3", "-g0"],
    )
    for path in sorted((ROOT / "segcore").glob("_*.pyx"))
]

setup(
    cmdclass={"build_py": BuildPy},
    ext_modules=cythonize(
        kernels,
        compiler_directives={
            "language_level": "3",
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
        },
    ),
)
