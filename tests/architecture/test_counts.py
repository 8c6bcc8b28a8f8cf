"""Messages that count: one row, two rows."""

import ast
import doctest
import re

from lstmcli import errors
from tests.architecture.source import FILES, PROGRAM

NOUNS = "rows|texts|examples|labels|words|epochs|columns|tags|trials|findings|duplicates|steps|dimensions"
COUNTED = re.compile(rf" ({NOUNS})\b")
NO_COUNTS = {
    "{', '.join(counts)} texts",
    "{word + 1} words",
    "{checkpoint.config.learner.name} labels",
    "{steps} steps",
}
REPORTS = PROGRAM / "report"  # captions of what is drawn, which is never one


def numbers(source: str) -> list[str]:
    """The nouns in the plural that follow a value in a text, unless the value is a constant."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, after in zip(node.values, node.values[1:], strict=False):
            counts = isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)
            if counts and (noun := COUNTED.match(str(after.value))) and not constant(value.value):  # type: ignore[union-attr]
                found.append(f"{ast.unparse(value)}{noun[0]}")
    return found


def constant(value: ast.expr) -> bool:
    name = value.id if isinstance(value, ast.Name) else value.attr if isinstance(value, ast.Attribute) else ""
    return name.isupper()


def test_a_number_before_a_noun_is_found_out() -> None:
    assert numbers("f'{count:,} rows'") == ["{count:,} rows"]
    assert numbers("f'{LIMIT} rows, {len(x)} of rows, {counted(1, \"row\")} that'") == []


def test_numbers_and_nouns_agree() -> None:
    read = {str(path): numbers(path.read_text("utf-8")) for path in FILES if REPORTS not in path.parents}
    wrong = {path: found for path, found in read.items() if set(found) - NO_COUNTS}
    assert wrong == {}, "write counted(number, noun) of lstmcli/errors.py"


def test_the_examples_of_counting_are_right() -> None:
    for function in (errors.counted, errors.none_of, errors.verb):
        found = doctest.DocTestFinder().find(function, globs={function.__name__: function})
        assert all(doctest.DocTestRunner().run(one).failed == 0 for one in found if one.examples)
        assert any(one.examples for one in found)
