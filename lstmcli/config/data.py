"""Sections ``data`` and ``tokens``: what is read, and how texts become ids."""

import codecs
import io
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from lstmcli.config.base import Section

Label = Annotated[str, Field(coerce_numbers_to_str=True)]  # 1 in YAML is the label "1"


class Data(Section):
    """What to read."""

    name: str = Field("table", description="Data set: imdb, opinions, ...; table or texts: your own files.")
    path: Path | None = Field(
        None, description="File or folder to read; none: where the data set is found or downloaded."
    )
    text_column: str = Field(
        "text", description="Column of the text, by name or by number from 1; several: title,body."
    )
    label_column: str = Field("label", description="Column of the label, by name or by number from 1.")
    label_separator: str | None = Field(
        None,
        min_length=1,
        description="A text can have several labels, or none: lists, or labels between these characters; none: one.",
    )
    delimiter: str | None = Field(None, description="Column separator: one character, or \\t; none: detected.")
    quote: Literal["auto", "double", "single", "none"] = Field(
        "auto", description="Quotation marks around cells; none: they are part of the text."
    )
    encoding: str | None = Field(
        None, description="Encoding of text files: utf-8, utf-16, cp1252, ...; none: detected."
    )
    header: bool | None = Field(None, description="Whether the first row names the columns; none: detected.")
    word_column: int | None = Field(
        None, ge=1, description="Column of the word in column files, from 1; none: detected."
    )
    tag_column: int | None = Field(None, ge=1, description="Column of the tag in column files, from 1; none: detected.")
    label_map: dict[Label, Label] = Field({}, description="Mapping of the data's labels to the model's names.")
    domains: tuple[str, ...] = Field((), description="Domains of the data set to read; empty: all.")
    validation: float = Field(
        0.1, gt=0, lt=0.9, description="Fraction of train held out if there is no validation split."
    )
    limit: int | None = Field(None, ge=2, description="Size of a seeded, stratified sample of train; none: all.")
    unlabelled: Path | None = Field(
        None, description="File of unlabelled texts: one per line, or a column named text; none: no more."
    )
    bad_rows: Literal["stop", "skip"] = Field("stop", description="What to do with rows that cannot be used.")
    cache: bool = Field(True, description="Keep encoded texts in the user's cache folder.")

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        value = "\t" if value in ("\\t", "tab") else value
        if value is not None and (len(value) != 1 or value in '"\r\n'):
            raise ValueError("is not one character")
        return value

    @field_validator("encoding")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        try:
            return None if value is None else _encoding(value)
        except (LookupError, UnicodeError) as error:
            raise ValueError("is not an encoding of text; for example --set data.encoding=cp1252") from error


def _encoding(name: str) -> str:
    """Its usual name. Raises LookupError or UnicodeError where it is none, or text cannot be read in it piece by piece,
    with bytes that it lacks reported."""
    with suppress(UnicodeDecodeError):
        io.TextIOWrapper(io.BytesIO(b"a"), name, errors="surrogateescape").read()
    return codecs.lookup(name).name


class Tokens(Section):
    """How texts become ids."""

    kind: Literal["words", "bpe", "whitespace", "pretokenized"] = Field(
        "words",
        description="Words and punctuation; byte-pair encoding; split at white space; the data's own words.",
    )
    size: int = Field(30_000, ge=10, le=1_000_000, description="Maximum size of the vocabulary.")
    min_count: int = Field(2, ge=1, description="Minimum frequency in train; rarer words are <unk>.")
    lowercase: bool = Field(True, description="Convert texts to lower case.")
    extend: bool = Field(
        False,
        description="With model.init: add words of train, at most size and of at least min_count, to its vocabulary.",
    )
    max_tokens: int = Field(
        400, ge=2, le=100_000, description="Maximum tokens per text; of longer texts the head and the tail are kept."
    )
    head: float = Field(0.5, ge=0, le=1, description="Fraction of max_tokens taken from the head.")
