"""Control characters, which could control a terminal, written as escapes. Without rich, which is slow to load."""

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def printable(text: str) -> str:
    """Escape control characters, except tabs and line feeds."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def as_json(text: str) -> str:
    """Escape the control characters that JSON leaves as they are."""
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
