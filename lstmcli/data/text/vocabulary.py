"""Text to ids and back, by Hugging Face ``tokenizers`` in Rust, in batches.

Words and punctuation by default: case folded, ``<br />`` dropped, and ``n't`` separated from its verb as GloVe has it,
so that a negation is one token. Of scripts without spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese)
each character, with the marks on it, is a word, as BERT has it for Chinese (Devlin et al. 2019): a whole clause would
never occur twice. Or byte-pair pieces; or pretokenized words, for tagging. Id 0 is padding, id 1 every unknown word.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import chain
from typing import Any

import numpy as np
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from lstmcli.config import Tokens
from lstmcli.data import labels
from lstmcli.data.spooled import by_target
from lstmcli.errors import DataError, did_you_mean
from lstmcli.tags import layout, types_of
from lstmcli.types import Example, LabelSet, Sizes

PADDING, UNKNOWN, END = 0, 1, 2
SPECIAL = ["<pad>", "<unk>"]
EOS = "<eos>"  # ends each text of a token stream
Text = str | tuple[str, ...]
# Literal replacements before one simple pattern: 1.4 times as fast as a look-ahead for the contractions.
_REPLACED = {"<br />": " ", "’": "'", "\x92": "'", "n't": " n't", "N'T": " N'T"}
_PIECES = r"n't|N'T|\w+|'(?:s|re|ve|ll|d|m)\b|[^\w\s]"
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"  # scripts without spaces
_WORDS = _PIECES.replace(r"\w+", rf"[\w&&[^{_UNSPACED}]]+") + rf"|[{_UNSPACED}]\p{{M}}*"


def count_words(text: str) -> int:
    """How many words a text has, without punctuation; of scripts without spaces, characters."""
    cut = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    return sum(word[0].isalnum() for word, _ in cut.pre_tokenize_str(text))


class Vocabulary:
    """Words and labels to ids and back. Immutable once built from training examples.

    frozen_words: the number of words, the last ones, that are not of the training texts and have frozen pretrained
    vectors. context: the vocabulary of a language model that reads the same words with ids of its own.
    """

    def __init__(
        self, tokenizer: Tokenizer, labels: Sequence[str], frozen_words: int = 0, context: "Vocabulary | None" = None
    ) -> None:
        self._tokenizer = tokenizer
        self.labels = tuple(labels)
        self.frozen_words = frozen_words
        self.context = context

    @classmethod
    def build(
        cls, texts: Iterable[Text], labels: Sequence[str], config: Tokens, *, stream: bool = False
    ) -> "Vocabulary":
        """Return the most frequent words of the texts. labels: each at its number; stream: with ``EOS``."""
        steps = (
            []
            if config.kind in ("pretokenized", "whitespace")
            else [normalizers.Replace(old, new) for old, new in _REPLACED.items()]
        )
        tokenizer = Tokenizer(
            models.BPE(unk_token=SPECIAL[UNKNOWN])
            if config.kind == "bpe"
            else models.WordLevel(unk_token=SPECIAL[UNKNOWN])
        )
        tokenizer.normalizer = normalizers.Sequence([*steps, *([normalizers.Lowercase()] if config.lowercase else [])])
        if config.kind == "whitespace":
            tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        elif config.kind != "pretokenized":
            pattern = _WORDS if config.kind == "words" else _PIECES
            tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), behavior="removed", invert=True)
        first = [*SPECIAL, EOS] if stream else SPECIAL
        pieces = config.kind == "bpe"
        size = config.size if pieces else config.size + len(first)  # a text may hold a special word itself
        kind = partial(trainers.BpeTrainer, limit_alphabet=size - len(first)) if pieces else trainers.WordLevelTrainer
        tokenizer.train_from_iterator(
            texts,
            kind(vocab_size=size, min_frequency=config.min_count, special_tokens=first, show_progress=False),
        )
        built = cls(tokenizer, labels)
        if len(built) <= config.size and [tokenizer.token_to_id(word) for word in first] == list(range(len(first))):
            return built
        # Texts that hold <unk> themselves: the trainer counts it as a word too, and moves it to that word's id.
        words = list(dict.fromkeys((*first, *built.words)))[: config.size]
        return built._of({word: number for number, word in enumerate(words)})

    def with_labels(self, labels: Sequence[str]) -> "Vocabulary":
        """Return the same words with other labels."""
        return Vocabulary(self._tokenizer, labels, self.frozen_words, self.context)

    def with_context(self, context: "Vocabulary") -> "Vocabulary":
        """Return the same words, which a language model with this vocabulary reads too."""
        return Vocabulary(self._tokenizer, self.labels, self.frozen_words, context)

    def with_words(self, more: Iterable[str], *, frozen: bool) -> "Vocabulary":
        """Add words after the others. frozen: they have frozen pretrained vectors."""
        words = dict.fromkeys((*self.words, *more))
        added = len(words) - len(self)
        return self._of(dict(zip(words, range(len(words)), strict=True)), frozen_words=added if frozen else 0)

    def unknown(self, texts: Iterable[str]) -> list[str]:
        """Return the words of the texts that are not among these, each once; none where texts are cut into pieces."""
        return list(dict.fromkeys(word for words in self.unknown_words(texts) for word in words))

    def unknown_words(self, texts: Iterable[str]) -> Iterator[list[str]]:
        """Yield the unknown words of each text in their order; none where texts are cut into pieces."""
        whole = isinstance(self._tokenizer.model, models.WordLevel)
        yield from (self.unknown_in(text) if whole else [] for text in texts)

    def unknown_in(self, text: str) -> list[str]:
        """Return the text's unknown words in their order, or characters where it is cut into pieces; the word ``<unk>``
        itself is known."""
        normal = self._tokenizer.normalizer.normalize_str(text)
        parts: list[str] = [part for part, _ in self._tokenizer.pre_tokenizer.pre_tokenize_str(normal)]
        if not isinstance(self._tokenizer.model, models.WordLevel):
            parts = list("".join(parts))
        return [part for part in parts if part not in self._ids]

    def unspaced(self) -> list[int]:
        """Return the ids of the words that are single characters of scripts without spaces."""
        alone = pre_tokenizers.Split(Regex(rf"^[{_UNSPACED}]\p{{M}}*$"), behavior="removed", invert=True)
        return [number for number, word in enumerate(self.words) if not word.isascii() and alone.pre_tokenize_str(word)]

    @property
    def pretokenized(self) -> bool:
        """True where the data itself cuts texts into words."""
        return self._tokenizer.pre_tokenizer is None

    @property
    def is_stream(self) -> bool:
        """True for a language model: its targets are not labels but each next word of a token stream."""
        return not self.labels and self._tokenizer.token_to_id(EOS) == END

    @property
    def special(self) -> int:
        """How many ids, the first, are no words: padding, the unknown word, and the end of a text."""
        return len(SPECIAL) + self.is_stream

    @property
    def is_tagged(self) -> bool:
        """True where the labels are all tags of some types of entities, each at its number."""
        return self.labels == layout(types_of(self.labels))

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels of texts, or the types of entities whose tags the labels are."""
        return types_of(self.labels) if self.pretokenized else self.labels

    @property
    def sizes(self) -> Sizes:
        """The sizes of a model with this vocabulary."""
        return Sizes(len(self) - self.frozen_words, len(self.labels), self.frozen_words)

    def __len__(self) -> int:
        return int(self._tokenizer.get_vocab_size())

    @cached_property
    def words(self) -> list[str]:
        """Every word at its id."""
        return sorted(self._ids, key=self._ids.__getitem__)

    @cached_property
    def _ids(self) -> dict[str, int]:
        ids: dict[str, int] = self._tokenizer.get_vocab()
        return ids

    def ids_of(self, words: Sequence[str]) -> list[int]:
        """Return the id of each word as it stands; where texts are cut into words, none is cut in two."""
        if self.pretokenized:
            return list(self._tokenizer.encode(list(words), is_pretokenized=True, add_special_tokens=False).ids)
        normalize = self._tokenizer.normalizer.normalize_str
        return [self._ids.get(normalize(word).strip(), UNKNOWN) for word in words]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text; a text without any token is one unknown word."""
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids or [UNKNOWN] for encoding in encodings]

    def word_offsets(self, texts: Sequence[str]) -> list[list[tuple[int, int]]]:
        """First character, and character after the last, of the word of each token; pieces have those of their word."""
        encodings = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [[encoding.word_to_chars(word) or (0, 0) for word in encoding.word_ids if word is not None]
                for encoding in encodings]  # fmt: skip

    def targets(self, examples: Sequence[Example]) -> np.ndarray[Any, np.dtype[Any]]:
        """Return the label id of each example, or of each word of the examples end to end; of sets of labels, 1 where
        the example has the label, else 0, ``[example, label]``.

        Raises:
            DataError: a label that training did not have, with its file and line.
        """
        ids = {label: number for number, label in enumerate(self.labels)}
        found: list[Any] = []
        firsts, numbers = by_target(examples)
        for example in firsts:
            if example.target is None:
                fix = "give texts with labels; to label these: lstmcli predict"
                raise DataError("texts without labels", where=example.where, fix=fix)
            expected = (example.target,) if isinstance(example.target, str) else tuple(example.target)
            for label in expected:
                if label not in ids and isinstance(example.target, tuple):
                    fix = f"known types: {', '.join(self.classes)}"
                    raise DataError(f"training has no entities of type {label[2:]}", where=example.where, fix=fix)
                if label not in ids:
                    missing = [name for name in labels.found(examples) if name not in ids]
                    option = labels.proposal(missing, self.labels) or f"--map '{label}=NAME'"
                    fix = f"{did_you_mean(label, self.labels)}; where it means one of them: {option}"
                    if isinstance(example.target, LabelSet) and (separator := labels.separator(label, ids)):
                        fix = f"it is made of known labels: --label-separator '{separator}'"
                    raise DataError(f"unknown label '{label}'", where=example.where, fix=fix)
            found.append([ids[label] for label in expected])
        if self.pretokenized:
            return np.array(list(chain.from_iterable(found[number] for number in numbers.tolist())), np.int64)
        if firsts and isinstance(firsts[0].target, LabelSet):
            sets = np.zeros((len(firsts), len(ids)), np.int8)
            for row, has in zip(sets, found, strict=True):
                row[has] = 1
            return sets[numbers]
        return np.array(found, np.int64).reshape(len(found))[numbers]

    def pruned(self, keep: Sequence[int]) -> "Vocabulary":
        """Return a vocabulary of these words only, in this order; padding and the unknown word come first."""
        if list(keep[: len(SPECIAL)]) != list(range(len(SPECIAL))):
            raise ValueError("padding and the unknown word must stay")
        return self._of({self.words[old]: new for new, old in enumerate(keep)})

    def _of(self, ids: dict[str, int], frozen_words: int = 0) -> "Vocabulary":
        state = self.state()
        if state["tokenizer"]["model"]["type"] != "WordLevel":
            raise ValueError("a vocabulary of pieces cannot be changed")
        state["tokenizer"]["model"]["vocab"] = ids
        return self.from_state(state | {"carried": frozen_words})

    def state(self) -> dict[str, Any]:
        """All of it in plain types."""
        state = {"tokenizer": json.loads(self._tokenizer.to_str()), "labels": self.labels}
        state |= {"carried": self.frozen_words} if self.frozen_words else {}
        return state | ({} if self.context is None else {"context": self.context.state()})

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> "Vocabulary":
        """Return the inverse of ``state``."""
        kept = dict(state["tokenizer"])
        if kept["model"]["type"] == "WordLevel":  # words are handed over as they are: a third of the time of JSON
            words, unknown = kept["model"]["vocab"], SPECIAL[UNKNOWN]
            kept["model"] = kept["model"] | {"vocab": dict(zip(SPECIAL, (PADDING, UNKNOWN), strict=True))}
            tokenizer = Tokenizer.from_str(json.dumps(kept))
            tokenizer.model = models.WordLevel(words, unk_token=unknown)
        else:
            tokenizer = Tokenizer.from_str(json.dumps(kept))
        context = cls.from_state(state["context"]) if "context" in state else None
        return cls(tokenizer, state["labels"], state.get("carried", 0), context)

    def to_json(self) -> str:
        return json.dumps(self.state(), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        return cls.from_state(json.loads(text))
