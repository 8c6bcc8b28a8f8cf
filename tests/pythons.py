"""Run what needs no torch on other versions of Python: ``python -m tests.pythons [VERSION ...]``.

Of each version that is installed: every file compiles without a warning, the types hold, and the tests run, but for
those that come to need one of ``ABSENT``. Those skip with its name, here as a plugin of pytest. Torch is never
installed: it is gigabytes a version.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
VERSIONS = ("3.12", "3.13")  # beside the one that all tests run on
# By module, the distribution.
ABSENT = {"torch": "torch", "datasets": "datasets", "sklearn": "scikit-learn", "scipy": "scipy", "seqeval": "seqeval"}
TOOLS = ("hypothesis", "pytest", "pytest-timeout")


class Absent:
    """Finds no module, and skips the test, or the file of tests, that imports one which is absent."""

    @staticmethod
    def find_spec(name: str, _path: Sequence[str] | None, _target: object = None) -> ModuleSpec | None:
        if name.partition(".")[0] in ABSENT:
            pytest.skip(f"{name} is not installed", allow_module_level=True)
        return None


def pytest_configure() -> None:
    sys.meta_path.insert(0, Absent)


def interpreter(version: str) -> str | None:
    """The path of a Python of the version, on the PATH or among pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for path in (shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))):
        if path and subprocess.run([path, "--version"], capture_output=True, check=False).returncode == 0:
            return path
    return None


def name_of(requirement: str) -> str:
    return re.split(r"[^\w-]", requirement)[0]


def requirements() -> list[str]:
    """What the program declares, without what is absent, and the tools of its tests."""
    return [one for one in PROJECT["dependencies"] if name_of(one) not in ABSENT.values()] + list(TOOLS)


@contextmanager
def environment(python: str, packages: Sequence[str]) -> Iterator[Callable[..., None]]:
    """A virtual environment with the packages, while the block lasts. Yields a function that runs its Python in the
    repository, and raises CalledProcessError where that fails."""
    with tempfile.TemporaryDirectory() as folder:
        variables = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
        variables["PYTHONPYCACHEPREFIX"] = folder

        def run(*arguments: str) -> None:
            subprocess.run([f"{folder}/bin/python", *arguments], cwd=ROOT, env=variables, check=True)

        subprocess.run([python, "-m", "venv", folder], check=True)
        run("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", "constraints.txt", *packages)
        yield run


def check(version: str, python: str) -> None:
    """Raises CalledProcessError where anything fails."""
    subprocess.run([sys.executable, "-m", "mypy", "--python-version", version], cwd=ROOT, check=True)
    with environment(python, requirements()) as run:
        run("-W", "error", "-m", "compileall", "-q", "-f", "lstmcli", "tests")
        run("-m", "pytest", "-q", "-p", "tests.pythons", "-o", "addopts=", "-m", "not slow")


if __name__ == "__main__":
    for version in sys.argv[1:] or VERSIONS:
        python = interpreter(version)
        if python is None:
            print(f"Python {version}: not tested, since no python{version} is found")
            continue
        print(f"Python {version}: {python}", flush=True)
        check(version, python)
