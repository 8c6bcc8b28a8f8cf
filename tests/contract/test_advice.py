"""What a message proposes can be done: the options exist, for the command that gave the message, and are obeyed."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

from lstmcli.config import RunConfig
from lstmcli.config.fields import kinds
from tests.advice import COMMANDS, OPTION, OTHERS, foreign_options
from tests.architecture.source import FILES, nodes
from tests.conftest import train_arguments

Run = Callable[..., int]
Captured = pytest.CaptureFixture[str]

KEY = re.compile(r"--set ([a-z_]+(?:\.[a-z_]+)*)=")


def texts() -> Iterator[tuple[str, str]]:
    """Every text of the program that is no docstring, with its place; parts of one f-string together. Style sheets have
    variables of their own with two dashes."""
    for path in FILES:
        if path.parent.name == "report":
            continue
        inside = {id(value) for node in nodes(path) if isinstance(node, ast.JoinedStr) for value in node.values}
        for node in nodes(path):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
                yield f"{path.name}:{node.lineno}", node.value
            elif isinstance(node, ast.JoinedStr):
                parts = [value.value if isinstance(value, ast.Constant) else "\0" for value in node.values]
                yield f"{path.name}:{node.lineno}", "".join(map(str, parts))


def keys(section: type[BaseModel] = RunConfig, before: str = "") -> Iterator[str]:
    """Every key that ``--set`` takes."""
    for name, field in section.model_fields.items():
        yield before + name
        for kind in kinds(field.annotation).values():
            yield from keys(kind, f"{before}{name}.")


def test_every_option_and_key_that_a_message_names_exists() -> None:
    known = set().union(*COMMANDS.values()) | OTHERS
    every = set(keys())
    found = [(where, text) for where, text in texts() if "--" in text]
    assert len(found) > 60
    wrong = [(where, option) for where, text in found for option in OPTION.findall(text) if option not in known]
    wrong += [(where, key) for where, text in found for key in KEY.findall(text) if key not in every]
    assert wrong == []


def test_an_option_named_with_its_command_is_one_of_that_command() -> None:
    wrong = [
        (where, foreign_options(command, phrase))
        for where, text in texts()
        for phrase, command in re.findall(r"(lstmcli (train|evaluate|adapt|predict)\b[^;,:()·\n]*)", text)
        if foreign_options(command, phrase)
    ]
    assert wrong == []


def test_options_of_another_command_are_found() -> None:
    assert foreign_options("train", "ask for fewer: --shots, or --set episodes.shots=2") == ["--shots"]
    assert foreign_options("train", "or: lstmcli evaluate --shots 5; or --epochs 3") == []
    assert foreign_options("train", "or: lstmcli predict --shots 5") == ["--shots"]


def test_what_is_proposed_for_too_small_episodes_is_accepted(run: Run, tmp_path: Path, capsys: Captured) -> None:
    few = "".join(f"{label} {number},{label}\n" for number in range(8) for label in ("good", "bad"))
    (tmp_path / "few.csv").write_text(f"text,label\n{few}")
    arguments = train_arguments(tmp_path / "few.csv", tmp_path / "run", "--learner", "ridge", "--dry-run", "--quiet")
    for options, split in (([], "train"), (["--set", "episodes.shots=4", "--set", "episodes.queries=2"], "validation")):
        assert run(*arguments, *options, "--set", "data.validation=0.25") == 2
        message = " ".join(capsys.readouterr().err.split())
        assert f"{split}: 1 domain" in message
        (remedy,) = proposed(message)
    assert run(*arguments, *remedy, "--set", "data.validation=0.25") == 0


ROWS = [(f"{quality} film number {number}", label) for number in range(12) for quality, label in
        (("warm", "good"), ("dull", "bad"))]  # fmt: skip
FAULTS = {  # content of a table that is refused, by the ending of its file
    "no_text.csv": "review,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS),
    "no_label.csv": "text,mood\n" + "".join(f"{text},{label}\n" for text, label in ROWS),
    "no_header.csv": "".join(f"{text},{label}\n" for text, label in ROWS),
    "caret.csv": "text^label\n" + "".join(f"{text}^{label}\n" for text, label in ROWS),
    "cp1252.csv": "text,label\n" + "".join(f"{text} é,{label}\n" for text, label in ROWS),
    "bad_row.csv": "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS) + "fine\n",
    "ambiguous.csv": "".join(f"{text},x;{label}\n" for text, label in ROWS),
}


def commands(trained: Path, path: Path, out: Path) -> Iterator[list[str]]:
    yield train_arguments(path, out / "run", "--dry-run")
    yield ["evaluate", "-c", str(trained), "--data", str(path)]
    yield ["adapt", "-c", str(trained), "--data", str(path), "--out", str(out / "a.pt")]
    yield ["predict", "-c", str(trained), "--input", str(path), "--strict"]


def proposed(message: str) -> list[list[str]]:
    """The arguments of each alternative that the message names, each as a list for the command."""
    found = []
    for part in re.split(r";|, or |: or |→", message):
        arguments = re.findall(r"(--(?:set|text-column|label-column)) (\S*'[^']*'|[^\s,;]+)", part)
        pieces = [piece.replace("'", "") for pair in arguments for piece in pair]
        if pieces and pieces not in found:
            found.append(pieces)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_what_is_proposed_for_a_table_is_accepted_and_changes_the_outcome(
    run: Run, trained: Path, tmp_path: Path, capsys: Captured, name: str
) -> None:
    path = tmp_path / name
    path.write_text(FAULTS[name], "cp1252" if name == "cp1252.csv" else "utf-8")
    for arguments in commands(trained, path, tmp_path):
        command = arguments[0]
        if run(*arguments) == 0:  # not a fault to this command: predict needs no label, adapt leaves out bad rows
            continue
        message = " ".join(capsys.readouterr().err.split())
        named = set(OPTION.findall(message)) - {"--dry-run"}
        assert named, (command, message)
        assert named <= COMMANDS[command] | OTHERS, (command, message)
        for remedy in proposed(message):
            if any("NAME" in piece for piece in remedy):
                continue
            run(*arguments, *remedy)
            after = " ".join(capsys.readouterr().err.split())
            assert message not in after, (command, remedy, after)


def test_there_is_something_to_walk_over(run: Run, trained: Path, tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "no_header.csv"
    path.write_text(FAULTS["no_header.csv"])
    assert run("evaluate", "-c", trained, "--data", path) == 2
    first, second = proposed(" ".join(capsys.readouterr().err.split()))
    assert first == ["--text-column", "1", "--label-column", "2", "--set", "data.header=no"]
    assert second == ["--set", "data.header=yes"]
    assert run("evaluate", "-c", trained, "--data", path, *first) == 0
