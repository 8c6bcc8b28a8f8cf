"""English sentiment of many domains: seven public data sets and templates as one, positive or negative.

    imdb        film reviews (Maas et al. 2011)
    arsc        product reviews of 19 Amazon domains, none of them a target domain of the benchmark (Yu et al. 2018); of
                its three thresholds of stars the rows whose label is beyond doubt: 1 star, or at most 3 in task t4, is
                negative; at least 4 stars is positive
    pros_cons   lines written under "pros" or "cons" (Ganapathibhotla & Liu 2008)
    products    sentences on ten products, the train part of ``opinions`` (Hu & Liu 2004)
    mams        restaurant sentences whose aspects are positive or negative, not both (Jiang et al. 2019)
    goemotions  Reddit comments whose emotions are all on one side (Demszky et al. 2020)
    xed         film subtitles, likewise (Öhman et al. 2020)
    templates   sentences made from ``sentiment.yaml``, for training alone: negation, contrast, irony, emoji and others
                that reviews seldom have; of statements without an opinion half are called positive, half negative

It reads the folders of these data sets, of which some may be missing. The name of each is a domain. Validation: one
stretch of ``STRETCH`` rows in ``EVERY``, since reviews of one film or product stand side by side. A text that comes
twice is read once; one with both labels, and one of a stretch that also stands in another, is left out.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

from lstmcli.config import Data
from lstmcli.data import rows
from lstmcli.data.readers import arsc, imdb, opinions
from lstmcli.data.text import templates
from lstmcli.errors import DataError
from lstmcli.types import Example, Rows

HUB = ""
SPANS = True  # several folders of $LSTMCLI_DATA
SPECIMEN = {
    "imdb/train/pos/0_9.txt": "A quiet film that stays with you.",
    "imdb/train/neg/0_2.txt": "Two hours that I want back.",
    "opinions/pros_cons.csv": "text,label\n" + "".join(f"light lid {row},1\nleaky lid {row},0\n" for row in range(250)),
    "opinions/product_reviews.csv": "text,label,product\nthe zoom is sharp .,1,Canon_G3\n",
    "mams/train.csv": 'text,polarities\n"The soup was cold, the table small.","negative,neutral"\n',
    "goemotions/train.jsonl": '{"text": "Thank you so much", "labels": ["gratitude"]}\n',
    "xed/en.jsonl": '{"text": "Leave me alone !", "labels": ["anger"]}\n',
}
SPLITS = ("train", "validation")
FOLDERS = {"products": "opinions"}  # where it is not the name
UNLABELLED = "unlabelled"  # film reviews
STRETCH, EVERY = 25, 20
SIDES = {
    "goemotions": (
        "admiration amusement approval caring desire excitement gratitude joy love optimism pride relief",
        "anger annoyance disappointment disapproval disgust embarrassment fear grief nervousness remorse sadness",
    ),
    "xed": ("joy trust", "anger disgust fear sadness"),
}
TEMPLATES = Path(__file__).with_name("sentiment.yaml")
SENTENCES = 900  # of each row of the templates
CERTAIN = {("t2", "negative"), ("t4", "negative"), ("t4", "positive"), ("t5", "positive")}

Found = Iterator[tuple[Example, str]]  # an example and what is wrong with its row (empty: nothing); no target: unused


def splits(root: Path) -> tuple[str, ...]:
    """Return the splits that the folders hold."""
    return SPLITS if any(_found(root)) else ()


def read(root: Path, split: str, options: Data) -> Rows:
    """Return the texts of the split; those without labels are reviews of films.

    Raises:
        DataError: none of the data sets is there, there is no such split, or a file cannot be read.
    """
    there = dict(_found(root))
    if split == UNLABELLED and "imdb" in there:
        return imdb.read(root / "imdb", imdb.UNLABELLED, options)
    if split not in splits(root):
        fix = f"give the folder that holds {', '.join(SOURCES)}"
        raise DataError(f"no split '{split}' of sentiment", where=str(root), fix=fix)
    if unknown := set(options.domains) - SOURCES.keys():
        what = f"there is no domain '{min(unknown)}'"
        raise DataError(what, where="data.domains", fix=f"choose from: {', '.join(SOURCES)}")
    bad: list[tuple[str, str]] = []
    parts: dict[str, list[Example]] = {name: [] for name in SPLITS}
    counts = []
    for name, read_source in there.items():
        if options.domains and name not in options.domains:
            continue
        examples: list[Example] = []
        for example, problem in read_source(root):
            if problem:
                bad.append((example.where, problem))
            elif example.target:
                examples.append(example)
        counts.append(f"{name} {len(examples):,}")
        for index, example in enumerate(examples):
            held_out = name != "templates" and index // STRETCH % EVERY == EVERY - 1
            parts["validation" if held_out else "train"].append(example)
    kept = _once(parts, split)
    missing = [name for name in SOURCES if name not in there]
    notes = [f"{split}: {', '.join(counts)} texts with their repeats, {len(kept):,} of this split without"]
    notes += [f"{split}: not there: {', '.join(missing)}"] if missing else []
    return Rows(kept, bad, tuple(notes))


def _once(parts: dict[str, list[Example]], split: str) -> list[Example]:
    """Return the examples of the split, each text once, without texts of both labels and those of the other split.

    Of texts that both have, the training part keeps its own.
    """
    labels: dict[str, set[str]] = {}
    for example in (*parts["train"], *parts["validation"]):
        labels.setdefault(str(example.text), set()).add(str(example.target))
    learned = {example.text for example in parts["train"]} if split == "validation" else set()
    once = {example.text: example for example in parts[split] if len(labels[str(example.text)]) == 1}
    return [example for text, example in once.items() if text not in learned]


def _imdb(root: Path) -> Found:
    return _of_reader(imdb.read(root / "imdb", "train", Data()), "imdb")


def _arsc(root: Path) -> Found:
    for example, problem in _of_reader(arsc.read(root / "arsc", "train", Data()), "arsc"):
        threshold, _, text = str(example.text).partition(" ")
        target = example.target if (threshold, example.target) in CERTAIN else None
        yield replace(example, text=text, target=target), problem


def _pros_cons(root: Path) -> Found:
    return _table(root / "opinions" / "pros_cons", "pros_cons", "label", _binary)


def _products(root: Path) -> Found:
    return _of_reader(opinions.read(root / "opinions", "train", Data()), "products")


def _mams(root: Path) -> Found:
    return _table(root / "mams" / "train", "mams", "polarities", lambda value: _side(str(value).split(","), "mams"))


def _goemotions(root: Path) -> Found:
    return _table(root / "goemotions" / "train", "goemotions", "labels", lambda value: _side(value, "goemotions"))


def _xed(root: Path) -> Found:
    return _table(root / "xed" / "en", "xed", "labels", lambda value: _side(value, "xed"))


def _templates(_: Path) -> Found:
    random = Random(0)  # for sentences without an opinion
    for number, case in enumerate(templates.generate(templates.read(TEMPLATES), SENTENCES), 1):
        label = random.choice(("negative", "positive")) if case.expected == "unsure" else case.expected
        yield Example(case.texts[0], label, "templates", f"{TEMPLATES}:sentences[{number}]"), ""


def _of_reader(found: Rows, domain: str) -> Found:
    for example in found.examples:
        yield replace(example, domain=domain), ""
    for where, problem in found.bad:
        yield Example("", where=where), problem


def _binary(value: object) -> str:
    return {"1": "positive", "0": "negative"}[str(value)]


def _side(names: object, source: str) -> str | None:
    """Return the label of a text of these emotions or polarities; None where they are on both sides, or on none."""
    positive, negative = (set(side.split()) for side in SIDES.get(source, ("positive", "negative")))
    found = set(names if isinstance(names, list) else str(names).split())
    sides = [label for label, side in (("positive", positive), ("negative", negative)) if found & side]
    return sides[0] if len(sides) == 1 and (source != "goemotions" or found <= positive | negative) else None


def _table(stem: Path, domain: str, column: str, label_of: Callable[[object], str | None]) -> Found:
    """Return the rows of the table of that name."""
    path = _file(stem)
    assert path is not None  # looked for before
    for row in rows.stream(path, Data()):
        text, problem = rows.text_of(row, "text")
        where = f"{path}:{row.line}"
        try:
            target = None if problem else label_of(row.values[column])
        except KeyError:
            target, problem = None, f"'{column}' is {row.values.get(column)!r}"
        yield Example(" ".join(text.split()), target, domain, where), problem


def _file(stem: Path) -> Path | None:
    return next((path for path in sorted(stem.parent.glob(f"{stem.name}.*")) if path.suffix in rows.TABLES), None)


def _found(root: Path) -> Iterator[tuple[str, Callable[[Path], Found]]]:
    """Return the data sets that are there, and if there are any, the templates."""
    stems = {
        "pros_cons": "opinions/pros_cons",
        "mams": "mams/train",
        "goemotions": "goemotions/train",
        "xed": "xed/en",
    }
    with_reader = {"imdb": imdb.splits, "arsc": arsc.splits, "products": opinions.splits}
    found = {name for name, of_reader in with_reader.items() if "train" in of_reader(root / FOLDERS.get(name, name))}
    found |= {name for name, stem in stems.items() if _file(root / stem)}
    if found:
        yield from ((name, read_source) for name, read_source in SOURCES.items() if name in {*found, "templates"})


SOURCES: dict[str, Callable[[Path], Found]] = {
    "imdb": _imdb,
    "arsc": _arsc,
    "pros_cons": _pros_cons,
    "products": _products,
    "mams": _mams,
    "goemotions": _goemotions,
    "xed": _xed,
    "templates": _templates,
}
DOMAINS = tuple(SOURCES)
