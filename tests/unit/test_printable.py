"""What a file holds cannot steer the terminal that it is shown on."""

import io

import pytest
from rich.console import Console

from lstmcli.cli import answers, entities
from lstmcli.cli.render import Screen
from lstmcli.types import SplitCheck

STEER = "\x1b]0;title\x07\x1b[2J"
ESCAPED = "\\x1b]0;title\\x07\\x1b[2J"


def shown(renderable: object) -> str:
    file = io.StringIO()
    Console(file=file, force_terminal=True, color_system=None, width=200).print(renderable)
    return file.getvalue()


def test_control_characters_of_texts_and_labels_are_escaped_on_a_terminal() -> None:
    answer = {"text": f"a{STEER}b", "label": f"x{STEER}", "probability": 1.0}
    assert shown(answers._styled(answer)).strip() == f"x{ESCAPED} 100.0%  a{ESCAPED}b"
    entity = {"text": f"A{STEER}", "label": "PER", "start": 0, "end": 1 + len(STEER)}
    assert shown(entities.marked(f"A{STEER} sang{STEER}", [entity])).strip() == f"A{ESCAPED}[PER] sang{ESCAPED}"


def test_control_characters_of_labels_are_escaped_in_tables(capsys: pytest.CaptureFixture[str]) -> None:
    split = SplitCheck(1, {f"x{STEER}": 1}, 0, 0, 1, 1, 0, tagged=False)
    screen = Screen(json=False, quiet=False)
    screen._checked({"train": split})
    assert f"x{ESCAPED} 1" in capsys.readouterr().err
