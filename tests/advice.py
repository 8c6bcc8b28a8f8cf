"""Which options a command has, and which of those that a message proposes it has not."""

import re

import typer

from lstmcli.cli.app import app

COMMANDS = {
    name: {option for parameter in command.params for option in parameter.opts}
    for name, command in typer.main.get_command(app).commands.items()  # type: ignore[attr-defined]
}
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
OTHERS = {"--upgrade", "--version", "--help"}  # of pip, and of every command
_OTHER_COMMAND = re.compile(r"lstmcli (train|evaluate|adapt|predict|check)\b[^;,:()·\n]*")


def foreign_options(command: str, advice: str) -> list[str]:
    """The options that a message of the command proposes, and that neither it nor the command named with them has."""
    found = [(command, _OTHER_COMMAND.sub("", advice))]
    found += [(match[1], match[0]) for match in _OTHER_COMMAND.finditer(advice)]
    return [option for name, text in found for option in OPTION.findall(text)
            if option not in COMMANDS.get(name, set()) | OTHERS]  # fmt: skip
