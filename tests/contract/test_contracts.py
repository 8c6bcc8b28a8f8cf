"""What is registered has what ``contracts`` asks of it."""

import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from lstmcli import contracts, registry
from tests.conftest import ROOT
from tests.contract.extension import learner, model, reader, task

TABLES = {
    contracts.Reader: registry.DATASETS,
    contracts.Task: registry.TASKS,
    contracts.Model: registry.MODELS,
    contracts.LearnerKind: registry.LEARNERS,
}
KINDS = {"text": contracts.TextTask, "words": contracts.Task, "stream": contracts.StreamTask}
MODULES = [pytest.param(protocol, registry.find(table, name), id=f"{protocol.__name__}-{name}")
           for protocol, table in TABLES.items() for name in table]  # fmt: skip
MODULES += [
    pytest.param(contracts.Reader, reader, id="Reader-example"),
    pytest.param(contracts.Model, model, id="Model-example"),
    pytest.param(contracts.LearnerKind, learner, id="LearnerKind-example"),
    pytest.param(contracts.TextTask, task, id="TextTask-example"),
]
MODULES += [pytest.param(KINDS[module.READS], module, id=f"{module.READS}-{name}")
            for name in registry.TASKS for module in [registry.task(name)]]  # fmt: skip


def lacking(protocol: Any, module: Any) -> list[str]:
    """The members that the module does not have, or not with these parameters."""
    found = []
    for kind in protocol.__mro__:
        found += [name for name in vars(kind).get("__annotations__", {}) if not hasattr(module, name)]
        for name, member in vars(kind).items():
            if name.startswith("_") or not inspect.isfunction(member):
                continue
            _, *parameters = inspect.signature(member).parameters.values()
            named = {one.name: None for one in parameters if one.kind is one.KEYWORD_ONLY}
            try:
                inspect.signature(getattr(module, name)).bind(*parameters[: len(parameters) - len(named)], **named)
            except (AttributeError, TypeError):
                found.append(name)
    return found


@pytest.mark.parametrize(("protocol", "module"), MODULES)
def test_a_registered_module_has_all_members(protocol: Any, module: Any) -> None:
    assert lacking(protocol, module) == []


def test_what_is_lacking_is_found() -> None:
    assert lacking(contracts.Model, reader) == ["build", "shape"]
    assert lacking(contracts.Reader, model) == ["HUB", "SPECIMEN", "splits", "read"]
    assert "support_probabilities" in lacking(contracts.TextTask, registry.task("tag"))


def test_optional_members_are_read_or_have_their_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert contracts.hooks(contracts.ReaderHooks, reader) == contracts.ReaderHooks()
    monkeypatch.setattr(reader, "BUNDLED", Path("here"), raising=False)
    assert contracts.hooks(contracts.ReaderHooks, reader) == contracts.ReaderHooks(BUNDLED=Path("here"))


@pytest.mark.parametrize("kind", [contracts.ReaderHooks, contracts.TaskHooks, contracts.ModelHooks])
def test_some_module_has_each_optional_member(kind: Any) -> None:
    """A default that nothing departs from would be no option."""
    modules = [registry.find(table, name) for table in TABLES.values() for name in table]
    names = [one.name for one in fields(kind)]
    assert [name for name in names if not any(hasattr(module, name) for module in modules)] == []


@pytest.mark.slow
def test_types_of_registered_modules_are_those_of_the_contracts(tmp_path: Path) -> None:
    lines = ["from lstmcli import contracts", "from lstmcli.meta.inner import Learner"]
    for number, case in enumerate(MODULES):
        protocol, module = case.values
        lines += [f"import {module.__name__}", f"_{number}: contracts.{protocol.__name__} = {module.__name__}"]
    lines += ["def of(learner: Learner) -> contracts.Learner:", "    return learner"]
    (tmp_path / "held.py").write_text("\n".join(lines) + "\n", "utf-8")
    mypy = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), "lstmcli", str(tmp_path / "held.py")]
    done = subprocess.run(mypy, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
