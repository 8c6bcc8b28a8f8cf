"""The vocabulary of the field: words that have a standard term are not used in code, docstrings and messages."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import FILES, PROGRAM, nodes

TERMS = {
    "anew": "again, or new",
    "bend": "adapt",
    "chances?": "probability, probabilities",
    "foretell|foretold": "predict, predicted",
    "mend": "fix, or correct",
    "parted": "split, or separated",
    "pupils?": "student",
    "texts a class|examples a class": "per class",
    "cannot go on": "error",
    "not to be had": "not available",
}
CONFIGS = sorted((PROGRAM.parent / "configs").glob("*.yaml"))
ALLOWED = {"by chance"}  # the idiom


@pytest.mark.parametrize("word", TERMS)
def test_the_field_s_term_is_used(word: str) -> None:
    pattern = re.compile(rf"\b({word})\b", re.IGNORECASE)
    found = [
        f"{path.name}:{number}: write {TERMS[word]}: {line.strip()}"
        for path in (*FILES, *CONFIGS)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(re.sub("|".join(ALLOWED), "", line))
    ]
    assert found == []


def bound(node: ast.AST) -> set[str]:
    """The names that a loop or a comprehension binds."""
    target = node.target if isinstance(node, ast.For | ast.comprehension) else None
    return set() if target is None else {name.id for name in ast.walk(target) if isinstance(name, ast.Name)}


def test_no_loop_variable_is_a_pronoun() -> None:
    found = [
        f"{Path(path).name}: {name}"
        for path in FILES
        for node in nodes(path)
        for name in bound(node) & {"its", "theirs", "ours", "mine"}
    ]
    assert found == []
