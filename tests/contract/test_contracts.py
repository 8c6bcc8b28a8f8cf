"""What is registered has the members that ``contracts`` requires, and no misspelled optional one."""

import inspect
import subprocess
import sys
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pytest

from lstmcli import contracts, registry
from lstmcli.meta.inner import Learner
from tests.conftest import ROOT
from tests.contract.extension import learner, model, reader, task

TABLES = {
    contracts.Reader: registry.DATASETS,
    contracts.Task: registry.TASKS,
    contracts.Model: registry.MODELS,
    contracts.LearnerKind: registry.LEARNERS,
}
HOOKS: dict[Any, Any] = {
    contracts.Reader: contracts.ReaderHooks,
    contracts.Task: contracts.TaskHooks,
    contracts.Model: contracts.ModelHooks,
}
OF_LEARNERS = [name for name in vars(contracts.Learner)["__annotations__"] if hasattr(Learner, name)]
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
    """The members that the module does not have, or not with these parameters, as the contract states them."""
    found = []
    for kind in protocol.__mro__:
        annotations = inspect.get_annotations(kind)
        found += [f"{name}: {of}" for name, of in annotations.items() if not hasattr(module, name)]
        for name, member in vars(kind).items():
            if name.startswith("_") or not inspect.isfunction(member):
                continue
            signature = inspect.signature(member)
            _, *parameters = signature.parameters.values()
            named = {one.name: None for one in parameters if one.kind is one.KEYWORD_ONLY}
            try:
                inspect.signature(getattr(module, name)).bind(*parameters[: len(parameters) - len(named)], **named)
            except (AttributeError, TypeError):
                text = str(signature.replace(parameters=parameters)).replace("'", "")
                found.append(f"def {name}{text}")
    return found


def misspelled(protocol: Any, module: Any) -> list[str]:
    """The names that the module defines which are nearly, but not, those of optional members."""
    kind = HOOKS.get(protocol)
    scopes = [(vars(module), [one.name for one in fields(kind)] if kind else [])]
    if protocol is contracts.LearnerKind:
        scopes += [(vars(one), OF_LEARNERS) for one in vars(module).values()
                   if inspect.isclass(one) and issubclass(one, Learner)]  # fmt: skip
    found = []
    for members, known in scopes:
        folded = {name.casefold(): name for name in known}
        for name, value in members.items():
            own = getattr(value, "__module__", module.__name__) == module.__name__
            near = get_close_matches(name.casefold(), folded, n=1, cutoff=0.8)
            if near and own and name not in known and not name.startswith("_"):
                found.append(f"{name}: did you mean {folded[near[0]]}?")
    return found


@pytest.mark.parametrize(("protocol", "module"), MODULES)
def test_a_registered_module_has_all_members(protocol: Any, module: Any) -> None:
    found = lacking(protocol, module)
    what = f"{module.__name__} lacks, or has with other parameters (see contracts.{protocol.__name__}):"
    assert not found, "\n  ".join([what, *found])


@pytest.mark.parametrize(("protocol", "module"), MODULES)
def test_a_registered_module_has_no_misspelled_optional_member(protocol: Any, module: Any) -> None:
    found = misspelled(protocol, module)
    assert not found, "\n  ".join([f"{module.__name__} defines names that nothing reads:", *found])


def test_what_is_lacking_is_found() -> None:
    assert lacking(contracts.Model, reader) == [
        "def build(config: Any, *, words: int, labels: int) -> nn.Module",
        "def shape(config: Any) -> dict[str, object]",
    ]
    names = [line.partition("(")[0].partition(":")[0] for line in lacking(contracts.Reader, model)]
    assert names == ["HUB", "SPECIMEN", "def splits", "def read"]
    assert "support_probabilities" in " ".join(lacking(contracts.TextTask, registry.task("tag")))


def test_a_misspelled_optional_member_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "BYWORD", ("embedding.weight",), raising=False)
    assert misspelled(contracts.Model, model) == ["BYWORD: did you mean BY_WORD?"]
    monkeypatch.setattr(reader, "domains", ("toys",), raising=False)
    assert misspelled(contracts.Reader, reader) == ["domains: did you mean DOMAINS?"]
    monkeypatch.setattr(learner.Gaussian, "use_support_prior", True, raising=False)
    assert misspelled(contracts.LearnerKind, learner) == ["use_support_prior: did you mean uses_support_prior?"]


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
