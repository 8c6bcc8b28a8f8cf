"""The vocabulary of the field: words that have a standard term are not used in code, docstrings and messages."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source import FILES, PROGRAM, nodes

TERMS = {
    "anew": "again, or new",
    "bend(s|ing)?|bent": "adapt",
    "chances?": "probability, probabilities",
    "foretells?|foretelling|foretold": "predict, predicted",
    "greatest": "largest, or argmax",
    "letters?": "characters",
    "mend(s|ed|ing)?": "fix, or correct",
    "parted|parting": "split, or separated",
    "pupils?": "student",
    "told": "reported, or distinguished",
    "cannot go on": "error",
    "not to be had": "not available",
}
ALLOWED = (
    "by chance",  # the idiom
    r"self\.letters\b",  # a key of checkpoints
    r'"letters\.weight"',
)
CONFIGS = sorted((PROGRAM.parent / "configs").glob("*.yaml"))

UNITS = (
    "batch|cell|class|domain|epoch|episode|example|file|layer|line|row|sentence|split|step|task|text|thread|"
    "token(?! stream)|weight|word"
)
NO_NOUN = "of|in|to|by|for|with|without|from|and|or|is|as|at|on|that|than|into|are|has|have|no|not|where|each|per"
RATE = re.compile(
    rf"\b(?:one|once|twice|(?:an?|one) (?:(?!(?:{NO_NOUN})\b)[a-z]+ ){{0,3}}(?!(?:{NO_NOUN})\b)[a-z]+|texts|examples)"
    rf" an? (?:{UNITS})\b",
    re.IGNORECASE,
)
PRONOUNS = {"its", "mine", "ours", "own", "theirs", "whom", "yours"}


def found(pattern: re.Pattern[str]) -> list[str]:
    """The lines of the program and of the recipes in which the pattern occurs."""
    return [
        f"{path.name}:{number}: {line.strip()}"
        for path in (*FILES, *CONFIGS)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(re.sub("|".join(ALLOWED), "", line))
    ]


@pytest.mark.parametrize("word", TERMS)
def test_the_field_s_term_is_used(word: str) -> None:
    assert found(re.compile(rf"\b({word})\b", re.IGNORECASE)) == [], f"write {TERMS[word]}"


def test_a_rate_is_written_with_per() -> None:
    assert found(RATE) == []


@pytest.mark.parametrize(
    "text", ["one text a class", "a figure an episode", "a fixed random vector a word", "once a batch"]
)
def test_a_rate_without_per_is_found(text: str) -> None:
    assert RATE.search(text)


@pytest.mark.parametrize("text", ["one of a class", "a part of a text", "a class without a text", "a list for a task"])
def test_other_articles_are_no_rates(text: str) -> None:
    assert not RATE.search(text)


def bound(node: ast.AST) -> str:
    """The name that a node binds: by assignment, in a loop, or as a parameter."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    return node.arg if isinstance(node, ast.arg) else ""


def test_no_variable_is_a_pronoun() -> None:
    pronouns = [
        f"{Path(path).name}: {bound(node)}" for path in FILES for node in nodes(path) if bound(node) in PRONOUNS
    ]
    assert pronouns == []
