"""YAML without what a recipe does not need, and what can make a short text endless: aliases and deep nesting."""

from typing import Any

import yaml

DEEPEST = 20


class RefusedError(yaml.YAMLError):
    """The text has an alias, or is nested too deeply."""


def load(text: str) -> Any:
    """Read the text as ``yaml.safe_load`` does. Raises yaml.YAMLError."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            raise RefusedError(f"aliases are not read: *{event.anchor}")
        if depth > DEEPEST:
            raise RefusedError(f"more than {DEEPEST} levels")
    return yaml.safe_load(text)
