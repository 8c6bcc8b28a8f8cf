"""Labels of a user's data, and the names that a model has for them. Of tagged words they are types of entities."""

import json
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from itertools import chain

from lstmcli.data.batches.sampling import labels
from lstmcli.data.spooled import by_target, with_targets
from lstmcli.errors import MANY, ConfigError, did_you_mean
from lstmcli.types import Example, LabelSet, Target

SEPARATORS = (",", ";", "|")  # between the labels of a text that has several


def found(examples: Sequence[Example]) -> list[str]:
    """Return the labels of the examples, sorted."""
    return sorted(set(chain.from_iterable(map(labels, by_target(examples)[0]))))


def separator(label: str, known: Iterable[str]) -> str:
    """Return the separator between known labels of which the label is made; empty where it is not."""
    every = set(known)
    for found in SEPARATORS:
        if found in label and every.issuperset(part.strip() for part in label.split(found)):
            return found
    return ""


def renamed(examples: Sequence[Example], names: Mapping[str, str]) -> Sequence[Example]:
    """Return the examples with a new name for each label that has one."""

    def new(target: Target | None) -> Target | None:
        if isinstance(target, LabelSet):
            return LabelSet(names.get(label, label) for label in target)
        if isinstance(target, tuple):
            return tuple(tag if tag == "O" else tag[:2] + names.get(tag[2:], tag[2:]) for tag in target)
        return target if target is None else names.get(target, target)

    return with_targets(examples, new)


def folded(names: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Map each unknown name to the one known name that differs in capitals alone; others are left out."""
    by_fold: dict[str, list[str]] = {}
    for name in known:
        by_fold.setdefault(_fold(name), []).append(name)
    matches = {name: by_fold.get(_fold(name), []) for name in names if name not in known}
    return {name: match[0] for name, match in matches.items() if len(match) == 1}


def check_used(names: Mapping[str, str], present: Sequence[str]) -> None:
    """Raise ConfigError where a label to map is not in the data, but one like it is and is not mapped."""
    left = [label for label in present if label not in names and label not in names.values()]
    for old in names.keys() - set(present):
        if get_close_matches(old, left, n=1):
            fix = did_you_mean(old, left)
            raise ConfigError(f"the data has no label '{old}'", where=f"--map {old}={names[old]}", fix=fix)


def check_weights(weights: Mapping[str, float] | str | None, present: Sequence[str]) -> None:
    """Raise ConfigError where a label with a weight is not in the data. weights: of ``train.class_weights``."""
    for label in weights if isinstance(weights, Mapping) else ():
        if label not in present:
            what = f"the training data has no label '{label}'"
            raise ConfigError(what, where=f"train.class_weights: {label}", fix=did_you_mean(label, present))


def proposal(unknown: Sequence[str], known: Sequence[str]) -> str:
    """Return the option that maps unknown labels to the most similar names; empty where none is similar.

    Similar in spelling; numbers in value or order.
    """
    unknown = unknown[:MANY]
    near = {label: match for label in unknown if (match := _near(label, known))}
    if numbers(unknown) and known:
        ordered = sorted(unknown, key=int)
        inside = all(0 <= int(label) < len(known) for label in ordered)
        near = {label: known[int(label) if inside else index * len(known) // len(ordered)]
                for index, label in enumerate(ordered)}  # fmt: skip
    return option(near) if near else ""


def option(names: Mapping[str, str]) -> str:
    """Return the option that maps labels to names, as a user types it."""
    both = [*names, *names.values()]
    if any("," in name or "=" in name or name != name.strip() for name in both):
        return "--set " + shlex.quote("data.label_map=" + json.dumps(names, ensure_ascii=False))
    return "--map " + shlex.quote(",".join(f"{label}={name}" for label, name in names.items()))


def numbers(names: Iterable[str]) -> bool:
    """Return whether all names are whole numbers."""
    return all(name.removeprefix("-").isdecimal() for name in names)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _near(label: str, known: Sequence[str]) -> str:
    """Return the known label that begins with this one or is spelled like it; none for numbers."""
    word = _fold(label)
    if not word[:1].isalpha():
        return ""
    begun = [name for name in known if _fold(name).startswith(word) or word.startswith(_fold(name))]
    if len(begun) == 1:
        return begun[0]
    return next(iter(get_close_matches(label, known, n=1)), "")
