"""Every key of a recipe with its type, default, limits and meaning, as the sections declare them."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from lstmcli.config import RunConfig
from lstmcli.errors import ConfigError, did_you_mean

SIGNS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
TYPES = {bool: "true | false", Path: "path", tuple: "list", dict: "mapping"}  # others by their own names
TOP = "recipe"  # the section of the keys outside of all sections


@dataclass(frozen=True)
class Row:
    """A key of a recipe. kind: which of several kinds of the section; else empty."""

    section: str
    kind: str
    key: str
    type: str
    default: str
    limits: str
    meaning: str


def rows(section: str | None = None) -> list[Row]:
    """Return the keys of a section, of one kind of a section, or of all.

    Raises:
        ConfigError: There is no such section.
    """
    found = [row for name, field in RunConfig.model_fields.items() for row in _of_section(name, field)]
    found += [
        _row(TOP, "", name, field) for name, field in RunConfig.model_fields.items() if not kinds(field.annotation)
    ]
    if section is None:
        return found
    known = list(dict.fromkeys(name for row in found for name in (row.section, row.kind) if name))
    if section not in known:
        raise ConfigError(f"there is no section '{section}'", where="--fields", fix=did_you_mean(section, known))
    return [row for row in found if section in (row.section, row.kind)]


def kinds(annotation: Any) -> dict[str, type[BaseModel]]:
    """Return the sections that a field may hold, by name; of a section without a name by the empty string."""
    found = (getattr(part, "__origin__", part) for part in (annotation, *get_args(annotation)))
    sections = [part for part in found if isinstance(part, type) and issubclass(part, BaseModel)]
    return {str(section.model_fields["name"].default) if "name" in section.model_fields else "": section
            for section in sections}  # fmt: skip


def bounds(field: FieldInfo) -> list[tuple[str, float]]:
    """Return the limits of a number: ``gt``, ``ge``, ``lt`` or ``le``, each with its bound."""
    pairs = [(sign, getattr(part, sign, None)) for part in field.metadata for sign in SIGNS]
    return [(sign, bound) for sign, bound in pairs if bound is not None]


def _of_section(section: str, field: FieldInfo) -> list[Row]:
    several = kinds(field.annotation)
    found = []
    for kind, model in several.items():
        shown = kind if len(several) > 1 else ""
        rows = [_row(section, shown, key, info) for key, info in model.model_fields.items()]
        rows.sort(key=lambda row: row.key != "name")
        what = (model.__doc__ or "").partition("\n")[0]
        found += [replace(row, meaning=row.meaning or what) for row in rows]
    return found


def _row(section: str, kind: str, key: str, field: FieldInfo) -> Row:
    limits = ", ".join(f"{SIGNS[sign]} {_plain(bound)}" for sign, bound in bounds(field))
    return Row(section, kind, key, _type(field.annotation), _plain(field.default), limits, field.description or "")


def _type(annotation: Any) -> str:
    """Return a type as a user writes its values."""
    if get_origin(annotation) is Literal:
        return " | ".join(map(str, get_args(annotation)))
    if annotation is NoneType:
        return "none"
    origin = get_origin(annotation) or annotation
    if origin in TYPES or not get_args(annotation):
        return TYPES.get(origin) or str(origin.__name__)
    return " | ".join(_type(part) for part in get_args(annotation))


def _plain(value: Any) -> str:
    """Return a value as a recipe has it."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(list(value))
    return (
        f"{value:,}".replace(",", "_")
        if isinstance(value, int)
        else f"{value:g}"
        if isinstance(value, float)
        else str(value)
    )
