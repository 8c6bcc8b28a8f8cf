"""Draw the support of an adaptation: a few labelled texts per class."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from lstmcli.data.batches import label_names, sampling
from lstmcli.data.batches.check import FEW
from lstmcli.errors import DataError, counted, verb
from lstmcli.events import Listener, Noted
from lstmcli.types import Example, LabelSet

UNEVEN = 0.1  # change of a class's frequency by the draw from which on the support does not show the class priors


@dataclass(frozen=True)
class Support:
    """The texts to learn from, the others, and the number of texts to learn from per class.

    uneven: the draw changed the class frequencies, which the support therefore does not show.
    """

    examples: Sequence[Example]
    others: Sequence[Example]
    counts: Counter[str]
    uneven: bool


def draw(examples: Sequence[Example], shots: int, *, seed: int, listener: Listener) -> Support:
    """Draw ``shots`` texts per class, and remark on repeats and on labels that may be meant as one.

    Raises:
        DataError: Fewer than two classes, or no entity.
    """
    support, query = sampling.per_class(examples, shots, seed=seed)
    drawn = Counter(chain.from_iterable(set(sampling.labels(example)) for example in support))
    repeated = len(examples) - len(support) - len(query)
    if repeated:
        what = f"{counted(repeated, 'text')} that {verb(repeated, 'repeat')} one learned from"
        listener(Noted(f"{what} {verb(repeated, 'are')} left out of the scoring"))
    if not drawn:
        sets = isinstance(examples[0].target, LabelSet)
        fix = "give texts with labels" if sets else "give sentences with at least one tag other than O"
        raise DataError("no labels to learn" if sets else "no entities to learn", where=examples[0].where, fix=fix)
    if len(drawn) < 2 and isinstance(examples[0].target, str):
        fix = "give examples of at least two labels"
        raise DataError(f"only one class: {', '.join(drawn)}", where=examples[0].where, fix=fix)
    counts = Counter(chain.from_iterable(map(sampling.labels, examples)))
    for remark in label_names.remarks(counts, mapped=False):
        listener(Noted(remark))
    before, after = counts.total(), drawn.total()
    uneven = any(abs(drawn[label] / after - count / before) > UNEVEN for label, count in counts.items())
    return Support(support, query, drawn, uneven)


def few(drawn: Counter[str], shots: int) -> list[str]:
    """Return remarks on classes with fewer texts than ``shots``: one per class, or one for all if there are many."""
    small = {label: count for label, count in sorted(drawn.items()) if count < shots}
    if len(small) <= FEW:
        return [
            f"class '{label}' has only {counted(count, 'different text')}, fewer than --shots {shots}"
            for label, count in small.items()
        ]
    label = min(small, key=small.__getitem__)
    of_all = f"{len(small):,} of {counted(len(drawn), 'class')} {verb(len(small), 'have')}"
    what = f"{of_all} fewer different texts than --shots {shots}"
    return [f"{what}; the smallest is '{label}' with {small[label]}"]
