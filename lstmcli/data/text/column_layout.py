"""What the columns of a file hold: which is the word, which the tag, and which only number the words.

Found in the file's first lines and checked, never assumed: CoNLL-2003 has the word first and the tag last, CoNLL-U and
GermEval 2014 number the words in the first column, and GermEval has a column of inner tags after that of the outer.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from lstmcli import tags
from lstmcli.config import Data
from lstmcli.data.text.column_survey import COMMENT, INVISIBLE, Survey, counts, few, is_range, names_sentences, survey
from lstmcli.errors import DataError, counted

PHRASES = {"NP", "VP", "PP", "ADVP", "SBAR", "ADJP", "PRT", "CONJP", "INTJ", "LST", "UCP", "NC", "PC", "VC"}


@dataclass(frozen=True)
class Layout:
    """Columns count from 0; tag is none where only words are read. index: the column that numbers the words;
    header: the line with the columns' names, from 1, or 0."""

    separator: str
    width: int
    word: int
    tag: int | None
    notation: tags.Notation
    index: int | None
    header: int
    note: str = ""

    def tag_of(self, cells: Sequence[str]) -> str:
        """Return the tag as the file spells it; O where tags are not read."""
        return tags.OUTSIDE if self.tag is None else cells[self.tag].strip(INVISIBLE)

    def wrong(self, cells: Sequence[str], first: int) -> str:
        """Return what is wrong with a line; first: the width of the file's first line."""
        if len(cells) != self.width:
            began = "where the file began with" if first == self.width else "where other lines have"
            return f"{counted(len(cells), 'column')} {began} {self.width}"
        if not cells[self.word]:
            return "no word"
        try:
            self.notation.read(self.tag_of(cells))
        except ValueError as error:
            return str(error)
        return ""

    def stands_for_others(self, cells: Sequence[str]) -> bool:
        """Return True for words written as one (numbered 3-4), and words that are not written (5.1), in CoNLL-U."""
        return self.index is not None and self.index < len(cells) and is_range(cells[self.index])

    def comments(self, line: str, cells: Sequence[str], *, begins: bool) -> bool:
        """Return whether the line is a comment, not a word that begins with #. begins: no word of the sentence came
        yet."""
        if not line.startswith(COMMENT):
            return False
        if begins and re.match(r"#\s*[\w.:-]+\s*=", line):
            return True
        if not self.wrong(cells, self.width) or len(line.split()) < 2:
            return False
        if line.split()[0] == COMMENT:
            return True
        return begins and not any(re.fullmatch(r"O|[BIES]-\S+", cell) for cell in line.split())


def layout(lines: Sequence[str], options: Data, where: str, *, tagged: bool = True) -> Layout:
    """Which columns hold what. where: the file; tagged: without tags it cannot be used.

    Raises:
        DataError: it cannot be decided, or the options name columns that are not there.
    """
    seen = survey(lines, options.delimiter)
    if not seen.blocks:
        raise DataError("the file holds no words", where=where, fix="give a file with a word per line and its tag")
    if tagged and seen.width < 2:
        fix = "separate the word and its tag by a tab or blanks, or name what separates them: --set data.delimiter=..."
        raise DataError("one column: a word and its tag are needed", where=f"{where}:{seen.first}", fix=fix)
    if seen.steady < 0.5:
        fix = "give all lines the same columns, and a blank line after each sentence"
        raise DataError(f"lines of {counted(seen.width, 'column')} and of others", where=f"{where}:{seen.odd}", fix=fix)
    for key, number in (("word", options.word_column), ("tag", options.tag_column)):
        if number is not None and number > seen.width:
            what = f"there is no column {number}: the file has {seen.width}"
            fix = f"--set data.{key}_column=N, N from 1 to {seen.width}"
            raise DataError(what, where=f"{where}:{seen.first}", fix=fix)
    tag, others = _tag_column(seen, options, where, tagged=tagged)
    word = _word_column(seen, tag, options, where)
    if tag is not None and word > tag and options.tag_column is None and options.word_column is None:
        what = f"the tags stand before the words: column {tag + 1} holds tags, column {word + 1} words"
        fix = f"if that is right: --set data.tag_column={tag + 1} --set data.word_column={word + 1}"
        raise DataError(what, where=f"{where}:{seen.first}", fix=fix)
    notation = tags.Notation() if tag is None else seen.notations[tag]
    index = next((column for column in range(word) if counts(seen, column)), None)
    found = Layout(seen.separator, seen.width, word, tag, notation, index, seen.header)
    return replace(found, note=_note(found, others, where, seen.first))


def _tag_column(seen: Survey, options: Data, where: str, *, tagged: bool) -> tuple[int | None, list[int]]:
    """Return the column of the tag, and the others that hold tags."""
    if options.tag_column is not None and options.tag_column - 1 in seen.notations:
        return options.tag_column - 1, []
    if tagged and (options.tag_column is not None or not seen.notations):
        column = (options.tag_column or seen.width) - 1
        most = ", ".join(f"'{value}'" for value, _ in seen.counts[column].most_common(3))
        which = f"column {column + 1} holds no tags" if options.tag_column else "no column holds tags, not the last"
        what = f"{which}: {most}"
        fix = "tags are O, and B-, I-, E- or S- and a type; another column: --set data.tag_column=N"
        raise DataError(what, where=f"{where}:{seen.first}", fix=fix)
    kinds = {column: _kinds(seen, column) for column in seen.notations if column + 1 != options.word_column}
    prefixed = [column for column, notation in seen.notations.items() if notation.form != "bare" and column in kinds]
    columns = prefixed or list(kinds)
    if names := [column for column in columns if not kinds[column] or kinds[column].keys() - PHRASES]:
        columns = names  # phrases, as CoNLL-2000 has them, only where there is nothing else
    if not columns:
        return None, []
    with_entities = [column for column in columns if kinds[column]] or columns
    best = with_entities[-1]
    for column in reversed(with_entities[:-1]):
        if kinds[column].keys() & kinds[best].keys() and kinds[column].total() >= kinds[best].total():
            best = column  # the outer of nested entities
    return best, [column for column in columns if column != best]


def _kinds(seen: Survey, column: int) -> Counter[str]:
    """How many words of each type of entity the column has."""
    notation = seen.notations[column]
    found: Counter[str] = Counter()
    for cell, count in seen.counts[column].items():
        if notation.reads(cell) and (tag := notation.read(cell)) != tags.OUTSIDE:
            found[tags.split(tag)[1]] += count
    return found


def _word_column(seen: Survey, tag: int | None, options: Data, where: str) -> int:
    if options.word_column is not None:
        return options.word_column - 1
    columns = [column for column in range(seen.width) if column not in seen.notations or seen.width == 1]
    columns = [column for column in columns if not (seen.width > 1 and counts(seen, column)) and column != tag]
    columns = [column for column in columns if not names_sentences(seen, column)] or columns
    if not columns:
        fix = "give a column of words, or name it: --set data.word_column=N"
        raise DataError("no column holds words", where=f"{where}:{seen.first}", fix=fix)
    while len(columns) > 1 and few(seen, columns[0], columns[1]):
        del columns[0]
    return columns[0]


def _note(found: Layout, others: Sequence[int], where: str, first: int) -> str:
    """Return what the user may not expect of the columns."""
    parts = []
    if found.tag is not None and (found.word > 0 or found.tag != found.width - 1):
        parts.append(f"column {found.word + 1} of {found.width} is read as the word, column {found.tag + 1} as its tag")
    if found.index is not None:
        parts.append(f"column {found.index + 1} numbers the words")
    parts += [f"column {one + 1} holds tags too: --set data.tag_column={one + 1} takes those" for one in others]
    parts += ["the line is a header"] if found.header else []
    return f"{where}:{found.header or first}: {'; '.join(parts)}" if parts else ""
