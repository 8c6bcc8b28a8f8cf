"""Sentences with a known answer, from the templates and lexica of a YAML file; the same ones every time."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import yaml

SLOT = re.compile(r"\{(a )?(\w+)\}")
CONSONANT = re.compile(r"use|uni|eu|one", re.IGNORECASE)  # sounds at the start of a word that is spelled with a vowel
TRIES = 50  # per sentence, before a group counts as exhausted


@dataclass(frozen=True)
class Case:
    """A sentence, or the variants that an exchange makes of one, with what is expected of a model."""

    row: str
    expected: str
    texts: tuple[str, ...]
    exchanged: tuple[str, ...] = ()  # what each of the texts has in the place of the others' words


def read(path: Path) -> dict[str, Any]:
    """Return the lexica, flat, and the rows."""
    content = yaml.safe_load(path.read_text("utf-8"))
    return {"lexica": {name: _flat(words) for name, words in content["lexica"].items()}, "rows": content["rows"]}


def generate(content: dict[str, Any], count: int) -> list[Case]:
    """Return up to ``count`` cases per row, shared equally among its groups, and within a group among its templates.

    count: of sentences; of an exchange, of sentences to exchange words in.
    """
    cases = []
    for row, groups in content["rows"].items():
        taken: set[str] = set()
        for index, group in enumerate(groups):
            drawn = _drawn(f"{row}/{index}", group, content["lexica"], taken)
            cases += [Case(row, group["expected"], *case) for case in islice(drawn, count // len(groups))]
    return cases


def _drawn(
    name: str, group: dict[str, Any], lexica: dict[str, list[str]], taken: set[str]
) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the texts of one case after another, and what was exchanged; none twice, until no new ones are found."""
    exchange = group.get("exchange", {})
    words = next(iter(exchange.values()), [""])
    fillers = [Filler(f"{name}/{template}", template, lexica, exchange) for template in group["templates"]]
    missed = 0
    for filler in cycle(fillers):
        texts = filler.texts(len(words), group.get("typos", 0))
        missed = missed + 1 if texts[0] in taken else 0
        if missed > TRIES * len(fillers):
            return
        if not missed:
            taken.add(texts[0])
            yield texts, tuple(words) if exchange else ()


class Filler:
    """Fills one template. Each lexicon is used up, in random order, before a word comes again."""

    def __init__(self, seed: str, template: str, lexica: dict[str, list[str]], exchange: dict[str, list[str]]) -> None:
        self.random = random.Random(seed)
        self.template, self.exchange = template, exchange
        used = {slot for _, slot in SLOT.findall(template)} - exchange.keys()
        self.words = {slot: self._shuffled(lexica[slot]) for slot in used}

    def _shuffled(self, words: list[str]) -> Iterator[str]:
        while True:
            yield from self.random.sample(words, len(words))

    def texts(self, variants: int, typos: int) -> tuple[str, ...]:
        """Return the next sentence, once per variant of the exchanged slots."""
        drawn = [next(self.words[slot]) if slot in self.words else "" for _, slot in SLOT.findall(self.template)]
        filled = [self._filled(drawn, variant) for variant in range(variants)]
        for _ in range(typos):
            filled = [mistyped(text, self.random) for text in filled]
        return tuple(filled)

    def _filled(self, drawn: list[str], variant: int) -> str:
        words = iter(drawn)

        def fill(match: re.Match[str]) -> str:
            word = next(words) or self.exchange[match[2]][variant]
            return f"{article(word)} {word}" if match[1] else word

        text = SLOT.sub(fill, self.template)
        if self.template.startswith("{"):
            text = text[0].upper() + text[1:]
        return re.sub(r"([.!?] )(\w)", lambda match: match[1] + match[2].upper(), text)


def article(word: str) -> str:
    """Return the indefinite article before the word."""
    return "an" if word[0].lower() in "aeiou" and not CONSONANT.match(word) else "a"


def mistyped(text: str, generator: random.Random) -> str:
    """Return the text with one slip in a word of five characters or more: two characters swapped, one lost or doubled.

    The first and the last character of a word stay, so that it can still be read.
    """
    place = generator.choice(list(re.finditer(r"[A-Za-z]{5,}", text)))
    word, at = place[0], generator.randrange(1, len(place[0]) - 2)
    slips = [
        word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        word[:at] + word[at + 1 :],
        word[: at + 1] + word[at:],
    ]
    slip = generator.choice([slip for slip in slips if slip != word])
    return text[: place.start()] + slip + text[place.end() :]


def _flat(words: list[Any]) -> list[str]:
    return [word for item in words for word in (_flat(item) if isinstance(item, list) else [item])]
