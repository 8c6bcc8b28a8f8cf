"""Whether a vocabulary read from a file is one that ``Vocabulary.build`` makes.

Patterns of tokenizers are programs of a kind: a regular expression can take forever, a replacement can make gigabytes
of a short text. Only those of this and of earlier versions are read.
"""

import itertools
from functools import cache
from typing import Any, Literal, get_args

from lstmcli.config import Tokens
from lstmcli.data.text.vocabulary import EOS, SPECIAL, Vocabulary

MOST_LABELS = 1_000_000
State = dict[str, Any]
PARTS = ("normalizer", "pre_tokenizer", "post_processor", "decoder", "truncation", "padding")


def check(state: object, *, inner: bool = False) -> None:
    """Check what ``Vocabulary.state`` returned before it was written. inner: of the language model that reads with it.

    Raises:
        ValueError: Something else stands there.
    """
    if not isinstance(state, dict):
        raise ValueError("no vocabulary")
    words = _check_tokenizer(state.get("tokenizer"))
    labels, frozen = state.get("labels"), state.get("carried", 0)
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ValueError("labels that are no text")
    if len(labels) > MOST_LABELS or len(set(labels)) < len(labels):
        raise ValueError("too many labels, or one twice")
    for label in labels:
        label.encode()  # raises UnicodeEncodeError, a ValueError, for half a character
    if type(frozen) is not int or not 0 <= frozen <= words - len(SPECIAL):
        raise ValueError("more words with frozen vectors than words")
    if "context" in state:
        if inner:
            raise ValueError("a vocabulary in the vocabulary of a language model")
        check(state["context"], inner=True)


def _check_tokenizer(tokenizer: object) -> int:
    """Check the tokenizer, and return the number of its words."""
    if not isinstance(tokenizer, dict) or not isinstance(model := tokenizer.get("model"), dict):
        raise ValueError("no tokenizer")
    template = _templates().get(str(model.get("type")))
    if template is None:
        raise ValueError(f"a tokenizer of another kind: {model.get('type')!r}")
    for part in PARTS:
        if tokenizer.get(part) not in [known[part] for known in template]:
            raise ValueError(f"a tokenizer with another {part}")
    added = tokenizer.get("added_tokens")
    if _unnumbered(added) not in [_unnumbered(known["added_tokens"]) for known in template]:
        raise ValueError("a tokenizer with other special words")
    known = template[0]["model"]
    if any(model[key] != known[key] for key in model.keys() & known.keys() - {"vocab", "merges", "type"}):
        raise ValueError("a tokenizer with other options")
    words = model.get("vocab")
    if not isinstance(words, dict) or set(map(type, words.values())) != {int}:
        raise ValueError("words without numbers")
    if sorted(words.values()) != list(range(len(words))):
        raise ValueError("words whose numbers are not 0, 1, 2 and so on")
    for number, word in enumerate([*SPECIAL, EOS][: len(added or [])]):
        if words.get(word) != number:
            raise ValueError(f"'{word}' is not word {number}")
    "".join(words).encode()  # as of labels
    if not isinstance(model.get("merges", []), list):
        raise ValueError("merges that are no list")
    return len(words)


def _unnumbered(added: object) -> object:
    """Return the special words without their numbers, which the tokenizer reads from the vocabulary."""
    if not isinstance(added, list) or not all(isinstance(one, dict) for one in added):
        return None
    return [{key: value for key, value in one.items() if key != "id"} for one in added]


@cache
def _templates() -> dict[str, list[State]]:
    """By type of model, the tokenizers that ``Vocabulary.build`` makes, without words."""
    found: dict[str, list[State]] = {}
    kinds: tuple[Literal["words", "bpe", "whitespace", "pretokenized"], ...]
    kinds = get_args(Tokens.model_fields["kind"].annotation)
    for kind, lowercase, stream in itertools.product(kinds, (True, False), (True, False)):
        made = Vocabulary.build([], [], Tokens(kind=kind, lowercase=lowercase), stream=stream).state()["tokenizer"]
        found.setdefault(made["model"]["type"], []).append(made)
    of_pieces = [one["pre_tokenizer"] for one in found["BPE"]]  # earlier versions cut words like that too
    found["WordLevel"] += [{**one, "pre_tokenizer": cut} for one in found["WordLevel"] for cut in of_pieces[:1]]
    return found
