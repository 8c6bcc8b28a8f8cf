"""Amazon Review Sentiment Classification: 57 training tasks and 12 target tasks, each a domain at a threshold of stars.

Yu et al. (2018), "Diverse Few-Shot Text Classification with Multiple Metrics". A review is positive in task ``t2``,
``t4`` or ``t5`` where it has at least so many stars. The benchmark names the threshold with each task, so every text
opens with it as a word: without it the label would not be defined. An example's domain is ``books.t4``.

Two layouts: the authors' files (``books.t4.train``, text, tab, 1 or -1) and ``arsc.parquet``; both beside the lists
``workspace.filtered.list`` and ``workspace.target.list``. The splits:

    train       the train rows of the 19 training domains; of those that have none (music and video in the known
                copies) the dev and test rows, which the benchmark does not score
    validation  the dev rows of the other training domains
    support     the five and five texts of each target task
    test        the test rows of the target tasks

Texts that also occur in a target domain are left out of train and validation, texts of train out of validation, and
texts of the support out of test; a note counts them.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import rows
from lstmcli.errors import DataError, counted
from lstmcli.types import Example, Rows

HUB = ""
SPECIMEN = {
    "workspace.filtered.list": "books\ntoys\nmusic\n",
    "workspace.target.list": "books\n",
    "toys.t2.train": "it broke on day one\t-1\nthe child loves it\t1\n",
    "toys.t2.dev": "a good gift\t1\n",
    "music.t2.dev": "not one song i would hear again\t-1\n",
    "books.t2.train": "a story that stays\t1\nleft unread\t-1\n",
    "books.t2.test": "i read it twice\t1\n",
}
LABELS = {"1": "positive", "-1": "negative", "0": "negative"}  # 0 in the parquet
SPLITS = ("train", "validation", "support", "test")


@dataclass(frozen=True, slots=True)
class _Review:
    """A row of the authors' files; part: train, dev or test."""

    text: str
    label: str
    domain: str
    threshold: str
    part: str
    where: str

    @property
    def task(self) -> str:
        return f"{self.domain}.{self.threshold}"


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that the folder holds."""
    return SPLITS if (root / "workspace.target.list").is_file() else ()


def read(root: Path, split: str, options: Data) -> Rows:
    """All reviews of the split.

    Raises:
        DataError: the split or a list of domains is not there, or a file cannot be read.
    """
    if split not in splits(root):
        fix = "give the folder that holds workspace.target.list and the reviews"
        raise DataError(f"no split '{split}' of ARSC", where=str(root), fix=fix)
    known, targets = (_listed(root / f"workspace.{name}.list") for name in ("filtered", "target"))
    reviews: list[_Review] = []
    bad: list[tuple[str, str]] = []
    for review, problem in _parquet(root) if (root / "arsc.parquet").is_file() else _files(root):
        if review.domain in known and problem:
            bad.append((review.where, problem))
        elif review.domain in known:
            reviews.append(review)
    parts = _by_split(reviews, targets)
    chosen, dropped = _without_repeats(split, parts, {review.text for review in reviews if review.domain in targets})
    notes = [f"{split}: {counted(count, 'text')} left out {why}" for why, count in dropped.items()]
    if split == "train":
        lacking = sorted({review.domain for review in chosen if review.part != "train"})
        if lacking:
            notes.append(f"train: no train file of {', '.join(lacking)}; their dev and test rows are used instead")
    selected = [review for review in chosen if not options.domains or review.task in options.domains]
    examples = [Example(f"{r.threshold} {r.text}", r.label, r.task, r.where) for r in selected]
    return Rows(examples, bad, tuple(notes))


def _by_split(reviews: list[_Review], targets: list[str]) -> dict[str, list[_Review]]:
    """Return the reviews of each split."""
    trained = {review.domain for review in reviews if review.part == "train"}
    parts: dict[str, list[_Review]] = {split: [] for split in SPLITS}
    for review in reviews:
        if review.domain in targets:
            name = {"train": "support", "test": "test"}.get(review.part)  # dev: for choosing hyperparameters
        elif review.domain in trained:
            name = {"train": "train", "dev": "validation"}.get(review.part)
        else:
            name = "train"
        if name is not None:
            parts[name].append(review)
    return parts


def _without_repeats(split: str, parts: dict[str, list[_Review]], held: set[str]) -> tuple[list[_Review], Counter[str]]:
    """Return the split without texts that must not occur in two parts, and how many were left out.

    held: the texts of the target domains.
    """
    learned = {review.text for review in parts["train"]} if split == "validation" else set()
    support = {(review.task, review.text) for review in parts["support"]} if split == "test" else set()
    chosen, dropped = [], Counter[str]()
    for review in parts[split]:
        if split in ("train", "validation") and review.text in held:
            dropped["that also occur in a target domain"] += 1
        elif review.text in learned:
            dropped["that also occur in train"] += 1
        elif (review.task, review.text) in support:
            dropped["that also occur in their task's support"] += 1
        else:
            chosen.append(review)
    return chosen, dropped


def _listed(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError("the list of domains cannot be read", where=str(path), fix="fetch the file again") from error


def _parquet(root: Path) -> Iterator[tuple[_Review, str]]:
    """Every row with what is wrong with it (empty: nothing)."""
    path = root / "arsc.parquet"
    for row in rows.stream(path, Data()):
        text, problem = rows.text_of(row, "text")
        domain, threshold, part, label = (str(row.values.get(key)) for key in ("domain", "threshold", "split", "label"))
        yield _checked(_Review(text, label, domain, threshold, part, f"{path}:{row.line}"), problem)


def _files(root: Path) -> Iterator[tuple[_Review, str]]:
    for path in sorted(root.glob("*.t[245].*")):
        domain, threshold, part = path.name.rsplit(".", 2)
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            text, _, label = line.decode("utf-8", "surrogateescape").rpartition("\t")
            problem = "" if text.strip() else "empty text"
            if rows.broken(text):
                problem = "bytes that are not UTF-8"
            yield _checked(_Review(text, label.strip(), domain, threshold, part, f"{path}:{number}"), problem)


def _checked(review: _Review, problem: str) -> tuple[_Review, str]:
    if not problem and review.label not in LABELS:
        return review, f"label '{review.label}' is none of {', '.join(LABELS)}"
    return replace(review, label=LABELS.get(review.label, "")), problem
