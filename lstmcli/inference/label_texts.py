"""Names of labels as texts to learn from: ``card_arrival`` is one more text of its class.

A name describes its class, which the few texts of a support do only in part. Names can also be arbitrary, as ``1`` and
``A``: they count only if they tell the texts of the support apart. Give each text the label whose name has the nearest
embedding; names count if so many texts get their own label that guessing would reach that number with a probability of
at most ``SIGNIFICANT`` (a binomial test).
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from lstmcli.contracts import TaskHooks, hooks
from lstmcli.data.batches.encoded import encode
from lstmcli.data.batches.episodes import Draw
from lstmcli.events import Listener, Noted, silent
from lstmcli.inference import assemble
from lstmcli.inference.assemble import Parts
from lstmcli.types import Example

Array = np.ndarray[Any, np.dtype[Any]]
REMARK = "the names of the labels tell the texts apart: each counts as one more text of its label"
SIGNIFICANT = 0.01
_BREAK = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")  # signs, and before a capital: "card_arrival", "CardArrival"


def as_text(label: str) -> str:
    """Return the words of a name, ``card arrival`` of ``card_arrival`` and ``CardArrival``; empty for a number."""
    words = " ".join(_BREAK.sub(" ", label).lower().split())
    return words if any(map(str.isalpha, words)) else ""


def examples(labels: Sequence[str]) -> list[Example]:
    """Return the names of the labels as examples of them; none if one of them is a number."""
    texts = [as_text(label) for label in labels]
    return [Example(text, label) for text, label in zip(texts, labels, strict=True)] if all(texts) else []


def counted(parts: Parts, names: Sequence[Example], support: Sequence[Example]) -> bool:
    """Return whether the learner counts the names as texts, and they tell the texts of the support apart."""
    if not names or not counts(parts):
        return False
    embeddings = _embeddings(parts, [*names, *support])
    labels = [str(name.target) for name in names]
    targets = [labels.index(str(example.target)) for example in support]
    return tells_apart(embeddings[: len(names)], embeddings[len(names) :], targets)


def with_names(
    parts: Parts, texts: Sequence[Example], drawn: Sequence[Draw], *, names: int, listener: Listener = silent
) -> list[Draw]:
    """Return the episodes; an episode whose support the names of its labels tell apart has them as texts too.

    texts: those of the episodes, and behind them the names, as many as ``names``.
    """
    if not names:
        return list(drawn)
    row_of = {str(name.target): len(texts) - names + index for index, name in enumerate(texts[-names:])}
    read = np.unique(np.concatenate([*(draw.support for draw in drawn), list(row_of.values())]))
    embeddings = dict(zip(read.tolist(), _embeddings(parts, [texts[index] for index in read]), strict=True))
    found, used = [], 0
    for draw in drawn:
        names_of = np.array([row_of[label] for label in draw.labels])
        of_names, of_texts = (np.stack([embeddings[row] for row in rows.tolist()]) for rows in (names_of, draw.support))
        if tells_apart(of_names, of_texts, draw.support_targets):
            support = np.concatenate((draw.support, names_of))
            draw = replace(
                draw, support=support, support_targets=np.concatenate((draw.support_targets, np.arange(len(names_of))))
            )
            used += 1
        found.append(draw)
    if used:
        listener(Noted(f"{REMARK} in {used:,} of {len(drawn):,} tasks"))
    return found


def tells_apart(names: Array, texts: Array, targets: Array | Sequence[int]) -> bool:
    """Return whether the nearest name is a text's own more often than guessing explains.

    names: ``[label, feature]``; texts: ``[text, feature]``; targets: the label of each text.
    """
    from scipy.special import bdtrc

    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-9) for rows in (names, texts)]
    correct = int(((unit[1] @ unit[0].T).argmax(axis=1) == np.asarray(targets)).sum())
    return bool(correct and bdtrc(correct - 1, len(targets), 1 / len(names)) <= SIGNIFICANT)


def counts(parts: Parts) -> bool:
    """Return whether the learner counts names of labels as texts."""
    one_label = not hooks(TaskHooks, parts.task).LABEL_SETS
    return one_label and bool(getattr(parts.config.learner, "label_names", False))


def _embeddings(parts: Parts, texts: Sequence[Example]) -> Array:
    store = encode(parts.vocabulary, texts, cache=None, labelled=False)
    return assemble.embeddings(parts, store.truncated(parts.config.tokens), sentence=True)
