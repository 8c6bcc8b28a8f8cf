"""Words and tags as files really have them: read correctly with a remark, or refused with the line and the reason."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lstmcli.config import Data
from lstmcli.data.readers import conll2003, plain_text
from lstmcli.data.text import column_survey, conll_format, sentences
from lstmcli.errors import DataError

SENTENCES = [
    [("Ada", "B-PER"), ("Byron", "I-PER"), ("sang", "O"), ("in", "O"), ("Turin", "B-LOC"), (".", "O")],
    [("Rain", "O"), ("fell", "O"), ("on", "O"), ("Oslo", "B-LOC")],
    [("Bob", "B-PER"), ("slept", "O")],
] * 3
READ = [("B-PER", "E-PER", "O", "O", "S-LOC", "O"), ("O", "O", "O", "S-LOC"), ("S-PER", "O")] * 3
Line = Callable[[int, str, str], str]
DATA = Data(name="conll2003")


def written(line: Line, *, before: str = "", between: str = "\n\n") -> str:
    """The sentences, a line per word; before: lines before each sentence."""
    return between.join(
        before + "\n".join(line(number, word, tag) for number, (word, tag) in enumerate(sentence, 1))
        for sentence in SENTENCES
    )


def plain(number: int, word: str, tag: str) -> str:
    return f"{word}\t{tag}"


def respelled(spell: Callable[[str], str]) -> str:
    return written(lambda _, word, tag: f"{word} {spell(tag)}")


WELL = {
    "index": written(lambda n, w, t: f"{n} {w} NN {t}"),
    "index from 0": written(lambda n, w, t: f"{n - 1}\t{w}\t{t}"),
    "index and -DOCSTART-": "1 -DOCSTART- -X- -X- O\n\n" + written(lambda n, w, t: f"{n} {w} NN I-NP {t}"),
    "index and header": "id\tword\tpos\tner\n" + written(lambda n, w, t: f"{n}\t{w}\tNN\t{t}"),
    "document, part, index": written(lambda n, w, t: f"doc_7\t0\t{n}\t{w}\t{t}"),
    "CoNLL-U": written(
        lambda n, w, t: f"{n}\t{w}\tx\tX\t_\t_\t{n - 1}\tdep\t_\t{t}", before="# sent_id = 0\n# text = O\n"
    ),
    "words written as one": written(lambda n, w, t: f"{n}-{n + 1}\tdu\t_\n{n}\t{w}\t{t}\n{n}.1\tnil\t_"),
    "tags in the middle": written(lambda n, w, t: f"{n}\t{w}\t{t}\t-\t-"),
    "GermEval, outer and inner": written(
        lambda n, w, t: f"{n}\t{w}\t{t}\t{t if w == 'Turin' else 'O'}", before="#\thttp://a.b/c [2009-10-17]\n"
    ),
    "GermEval, inner all O": written(lambda n, w, t: f"{n}\t{w}\t{t}\tO"),
    "phrases before tags": written(lambda _, w, t: f"{w} NN {'B-NP' if t == 'O' else 'I-NP'} {t}"),
    "parts of speech first": written(lambda _, w, t: f"{'VB' if t == 'O' else 'NN'} {w} {t}"),
    "comment as wide as a line": written(lambda _, w, t: f"{w} _ _ {t}", before="# id 12ab-0\tdomain=en\n"),
    "comment that ends in a tag": written(
        lambda _, w, t: f"{w} _ _ {'0' if t == 'O' else t}", before="# sent_id = 0\n"
    ),
    "comments and no blank lines": written(plain, before="# id 1\n", between="\n"),
    "-DOCSTART- (1)": "-DOCSTART- (1)\n\n" + written(plain),
    "-DOCSTART- O": "-DOCSTART-\tO\n\n" + written(plain),
    "-DOCSTART-": "-DOCSTART-\n" + written(plain),
    "header": "token\ttag\n" + written(plain),
    "header and blank line": "Token\tNE-Tag\n\n" + written(plain),
    "Windows": written(plain).replace("\n", "\r\n"),
    "blank lines with tabs": written(plain, between="\n\t\n"),
    "blank lines with zero width": written(plain, between="\n\u200b\n"),
    "tags with zero width": written(lambda _, w, t: f"{w}\t{t}\u200b"),
    "words with zero width": written(lambda _, w, t: f"\u200b{w}\t{t}"),
    "trailing tab": written(lambda _, w, t: f"{w}\t{t}\t"),
    "two tabs after short words": written(lambda _, w, t: f"{w}\t{'' if len(w) > 3 else chr(9)}{t}"),
    "vertical bars": written(lambda _, w, t: f"{w}|{t}"),
    "UTF-16": written(plain).encode("utf-16"),
    "UTF-16 without a mark": written(plain).encode("utf-16-le"),
    "UTF-8 with a mark": written(plain).encode("utf-8-sig"),
    "IOB1": respelled(lambda tag: tag.replace("B-", "I-")),
    "BILOU": respelled(lambda tag: {"B-LOC": "U-LOC", "I-PER": "L-PER"}.get(tag, tag)).replace("Bob B", "Bob U"),
    "BMEWO": respelled(lambda tag: {"B-LOC": "W-LOC", "I-PER": "E-PER"}.get(tag, tag)).replace("Bob B", "Bob W"),
    "o": respelled(lambda tag: tag.replace("O", "o") if tag == "O" else tag),
    "0": respelled(lambda tag: "0" if tag == "O" else tag),
    "_": respelled(lambda tag: "_" if tag == "O" else tag),
    "B_PER": respelled(lambda tag: tag.replace("-", "_")),
    "b-PER": respelled(lambda tag: tag[:1].lower() + tag[1:]),
    "PER-B": respelled(lambda tag: "-".join(reversed(tag.split("-")))),
    "PER": respelled(lambda tag: tag.split("-")[-1]),
}
SAID = {  # what the remark must hold
    "index": "train.txt:1: column 2 of 4 is read as the word, column 4 as its tag; column 1 numbers the words",
    "GermEval, outer and inner": "column 3 as its tag; column 1 numbers the words; column 4 holds tags too: --set",
    "header": "train.txt:1: the line is a header",
    "o": "train.txt:3: 'o' is read as O",
    "0": "train.txt:3: '0' is read as O",
    "_": "train.txt:3: '_' is read as O",
    "B_PER": "train.txt:1: 'B_PER' is read as B-PER",
    "PER-B": "'PER-B' is read as B-PER",
    "PER": "train.txt:1: tags have no B- or I-: neighbouring words of one type are one entity",
}


def put(folder: Path, content: str | bytes, name: str = "train.txt") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("kind", WELL)
def test_columns_of_every_kind_are_read_as_the_same_sentences(kind: str, tmp_path: Path) -> None:
    path = put(tmp_path, WELL[kind])
    assert conll2003.fits(tmp_path)
    assert conll_format.looks_like(path)
    found = conll2003.read(tmp_path, "train", DATA)
    assert found.bad == []
    assert [example.text for example in found.examples] == [tuple(word for word, _ in one) for one in SENTENCES]
    assert [example.target for example in found.examples] == READ
    assert SAID.get(kind, "") in "\n".join(found.notes).replace(f"{tmp_path}/", "")
    assert kind not in SAID or found.notes


def test_plain_columns_need_no_remark(tmp_path: Path) -> None:
    put(tmp_path, "-DOCSTART- -X- O O\n\n" + written(lambda _, w, t: f"{w} NN I-NP {t}"))
    assert conll2003.read(tmp_path, "train", DATA).notes == ()


def test_tags_of_one_unnamed_type_are_entities(tmp_path: Path) -> None:
    put(tmp_path, respelled(lambda tag: tag[0]))
    found = conll2003.read(tmp_path, "train", DATA)
    assert found.examples[0].target == ("B-ENTITY", "E-ENTITY", "O", "O", "S-ENTITY", "O")
    assert "'B' is read as B-ENTITY" in found.notes[0]


def test_prefixes_of_no_scheme_are_no_part_of_a_type(tmp_path: Path) -> None:
    path = put(tmp_path, respelled(lambda tag: tag.replace("B-", "X-").replace("I-", "Y-")))
    found = conll2003.read(tmp_path, "train", DATA)
    assert found.examples == []
    assert found.bad[0] == (f"{path}:1", "'X-PER' is not a tag: O, or B-, I-, E- or S- and a type")


def test_types_that_differ_only_in_case_are_remarked(tmp_path: Path) -> None:
    put(tmp_path, written(plain).replace("Bob\tB-PER", "Bob\tB-Per"))
    assert "differ only in case: PER, Per" in conll2003.read(tmp_path, "train", DATA).notes[0]


def test_blanks_belong_to_words_where_tabs_separate(tmp_path: Path) -> None:
    put(tmp_path, written(plain).replace("Turin", "New York"))
    assert conll2003.read(tmp_path, "train", DATA).examples[0].text[4] == "New York"


def test_words_that_begin_with_the_mark_of_comments_are_words(tmp_path: Path) -> None:
    put(tmp_path, written(lambda _, w, t: f"{'#' if w in ('Ada', '.') else '#' + w if w == 'Turin' else w} {t}"))
    found = conll2003.read(tmp_path, "train", DATA)
    assert found.examples[0].text == ("#", "Byron", "sang", "in", "#Turin", "#")
    assert found.bad == []


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        (written(plain).replace("Turin\tB-LOC", "Turin", 1), 5, "1 column where the file began with 2"),
        ("Ada\n" + written(plain), 1, "1 column where other lines have 2"),
        ("#Turin\n" + written(plain), 1, "1 column where other lines have 2"),
        (written(plain).replace("sang\tO", "#sang", 1), 3, "1 column where the file began with 2"),
        (written(plain).replace("Ada\t", "\t", 1), 1, "no word"),
        ("Wort\tEtikett\n" + written(plain), 1, "'Etikett' is not a tag"),
        (written(plain).replace("sang\tO", "sang\tOO", 1), 3, "'OO' is not a tag"),
        (written(plain).replace("sang\tO", "sang\tPER", 1), 3, "'PER' is not a tag"),
        (written(plain).replace("sang\tO", "sang\tB-X|B-Y", 1), 3, "'B-X|B-Y' is several tags"),
        (
            written(plain).replace("Ada", "\udcfc", 1).encode("utf-8", "surrogateescape"),
            1,
            "--set data.encoding=cp1252",
        ),
    ],
)
def test_one_fault_is_told_with_its_line(content: str | bytes, line: int, what: str, tmp_path: Path) -> None:
    path = put(tmp_path, content)
    assert conll2003.fits(tmp_path)
    found = conll2003.read(tmp_path, "train", DATA)
    assert len(found.examples) == len(SENTENCES) - 1
    ((where, message),) = found.bad
    assert where == f"{path}:{line}"
    assert what in message


@pytest.mark.parametrize(
    ("content", "what", "fix"),
    [
        (written(lambda _, w, t: f"{t}\t{w}"), "column 1 holds tags, column 2 words", "--set data.tag_column=1"),
        (
            written(lambda _, w, t: f"{w} {'NN' if t == 'O' else 'VB'}"),
            "no column holds tags, not the last: 'NN'",
            "tag_col",
        ),
        (written(lambda n, w, t: f"{n} {t}"), "no column holds words", "data.word_column"),
        (
            written(lambda _, w, t: f"{w} {'*' if t == 'O' else '(PER*)'}"),
            "no column holds tags",
            "O, and B-, I-, E- or S-",
        ),
    ],
)
def test_what_cannot_be_decided_is_refused_with_the_line(content: str, what: str, fix: str, tmp_path: Path) -> None:
    path = put(tmp_path, content)
    assert conll2003.fits(tmp_path)
    with pytest.raises(DataError, match="column") as caught:
        conll2003.read(tmp_path, "train", DATA)
    assert what in caught.value.what
    assert caught.value.where == f"{path}:1"
    assert fix in caught.value.fix


@pytest.mark.parametrize(
    ("line", "options"),
    [
        (lambda _, w, t: f"{t} {w}", {"tag_column": 1, "word_column": 2}),
        (lambda _, w, t: f"{t} {w}", {"tag_column": 1}),
        (lambda _, w, t: f"{w} {t} B-X", {"tag_column": 2}),
        (lambda _, w, t: f"other {w} {t}", {"word_column": 2}),
        (lambda _, w, t: f"{w}:{t}", {"delimiter": ":"}),
    ],
)
def test_the_options_decide(line: Line, options: dict[str, object], tmp_path: Path) -> None:
    put(tmp_path, written(line))
    found = conll2003.read(tmp_path, "train", DATA.model_copy(update=options))
    assert found.examples[0].text == ("Ada", "Byron", "sang", "in", "Turin", ".")
    assert [example.target for example in found.examples] == READ


@pytest.mark.parametrize("option", ["word_column", "tag_column"])
def test_a_column_that_is_not_there_is_refused(option: str, tmp_path: Path) -> None:
    path = put(tmp_path, written(plain))
    with pytest.raises(DataError, match="there is no column 3: the file has 2") as caught:
        conll_format.read(path, DATA.model_copy(update={option: 3}))
    assert caught.value.where == f"{path}:1"
    assert f"--set data.{option}=N" in caught.value.fix


def test_the_encoding_is_read_as_named(tmp_path: Path) -> None:
    path = put(tmp_path, "Müller B-PER\nschlief O\n".encode("cp1252"))
    (example,) = conll_format.read(path, DATA.model_copy(update={"encoding": "cp1252"})).examples
    assert example.text == ("Müller", "schlief")


@pytest.mark.parametrize(
    "content",
    [
        "The kettle sings.\nIt boils\n\nThe lid rattles after.\n",
        "Roses are red\nViolets are blue\n\nSugar is sweet\nAnd so are\n\n",
        "good morning\nbad night\n\ngood day\nbad luck\n",
        "fine\tpos\n" * 20,
        "__label__pos fine\n" * 20,
        "".join(f"{number} {number * 2} 0\n" for number in range(20)),
        b"\x89PNG\r\n\x1a\n\0\0\0",
    ],
)
def test_other_files_are_not_taken_for_columns(content: str | bytes, tmp_path: Path) -> None:
    path = put(tmp_path, content)
    assert not conll2003.fits(tmp_path)
    assert not conll_format.looks_like(path)


def test_a_table_of_texts_is_no_file_of_columns(tmp_path: Path) -> None:
    put(
        tmp_path,
        "".join(f"a fine text {number}\t{'pos' if number % 2 else 'O'}\n" for number in range(20)),
        "train.tsv",
    )
    assert not conll2003.fits(tmp_path)


def test_a_file_without_blank_lines_is_remarked(tmp_path: Path) -> None:
    path = put(tmp_path, "Ada B-PER\nsang O\n" * 40)
    (note,) = conll_format.read(path).notes
    assert note == f"{path}: 80 words without a blank line are read as one sentence; put one after each"
    put(tmp_path, "Bob O\n\n" + "Ada B-PER\nsang O\n" * 300)
    (note,) = conll_format.read(path).notes
    assert note == f"{path}:3: a sentence of 600 words is read in pieces of 400"


def test_the_columns_to_train_on_are_those_of_the_other_splits(tmp_path: Path) -> None:
    put(tmp_path, written(lambda _, w, t: f"{w} {t} {'B-PER' if w == 'Oslo' else 'O'}"))
    put(tmp_path, written(lambda _, w, t: f"{w} {'B-PER' if w == 'Oslo' else 'O'} {t}"), "test.txt")
    test = conll2003.read(tmp_path, "test", DATA).examples
    assert [example.target for example in test[:3]] == [("O",) * 6, ("O", "O", "O", "S-PER"), ("O", "O")]


@pytest.mark.parametrize(
    ("train", "dev", "test"),
    [
        ("Train.TXT", "devel.txt", "TEST.txt"),
        ("eng.train", "eng.testa", "eng.testb"),
        ("NER-de-train.tsv", "NER-de-dev.tsv", "NER-de-test.tsv"),
        ("train.conllu", "validate.conllu", "evaluation-test.conllu"),
    ],
)
def test_files_are_found_by_their_names(train: str, dev: str, test: str, tmp_path: Path) -> None:
    for name in (train, dev, test):
        put(tmp_path, written(plain), name)
    assert conll2003.fits(tmp_path)
    assert conll_format.files(tmp_path) == {
        split: tmp_path / name for split, name in zip(("train", "validation", "test"), (train, dev, test), strict=True)
    }


def test_of_two_files_the_one_in_columns_is_read_and_the_other_named(tmp_path: Path) -> None:
    put(tmp_path, "Read me first.\n")
    put(tmp_path, written(plain), "train.conll")
    found = conll2003.read(tmp_path, "train", DATA)
    assert len(found.examples) == len(SENTENCES)
    assert found.notes == ("not read: train.txt (read: train.conll)",)


def test_a_language_model_reads_the_sentences(tmp_path: Path) -> None:
    path = put(tmp_path, written(plain))
    found = plain_text.read(tmp_path, "train", Data(name="texts"))
    assert [example.text for example in found.examples[:2]] == ["Ada Byron sang in Turin .", "Rain fell on Oslo"]
    assert found.notes == (f"{path}: {conll_format.NOTE}",)
    put(tmp_path, "It rained.\nAda sang.\n")
    assert [example.text for example in plain_text.read(tmp_path, "train", Data(name="texts")).examples] == [
        "It rained.",
        "Ada sang.",
    ]


def test_words_are_read_where_there_are_no_tags_and_faults_keep_their_place(tmp_path: Path) -> None:
    path = put(tmp_path, "Ada\nsang\n\nBob\n", "words.conll")
    assert [row.values[conll_format.WORDS] for row in conll_format.stream(path, Data())] == [("Ada", "sang"), ("Bob",)]
    path = put(tmp_path, written(plain).replace("fell\tO", "fell", 1))
    rows = list(conll_format.stream(path, Data()))
    assert [(row.line, row.number, bool(row.problem)) for row in rows[:3]] == [
        (1, 1, False),
        (9, 2, True),
        (13, 3, False),
    ]


@pytest.mark.parametrize(
    ("line", "expected"), [("Ada\tB-PER", True), ("Ada NNP I-NP B-PER", True), ("-DOCSTART-", True), ("sang O", True),
                           ("Ada sang.", False), ("", False), ("vitamin B-12 is good", False)],
)  # fmt: skip
def test_a_line_is_known_by_itself(line: str, expected: bool) -> None:
    assert conll_format.is_line(line) == expected


def test_words_and_their_tags_are_laid_out() -> None:
    (spans,) = sentences.laid_out(["New York", "is", "big"])
    assert ["New York is big"[begin:end] for begin, end in spans] == ["New York", "is", "big"]
    entities = [{"start": 0, "end": 8, "label": "LOC"}, {"start": 9, "end": 15, "label": "X"}]
    assert sentences.tags(spans, entities) == ["B-LOC", "B-X", "I-X"]
    assert [len(piece) for piece in sentences.laid_out(["w"] * (sentences.LONGEST + 1))] == [sentences.LONGEST, 1]
    assert conll_format.lines_of(["New York", "is"], ["B-LOC", "O"]) == "New York\tB-LOC\nis\tO\n\n"


def test_a_count_of_the_whole_file_is_no_word(tmp_path: Path) -> None:
    seen = column_survey.survey([f"{number} word{number} O\n" for number in range(1, 30)])
    assert column_survey.counts(seen, 0)
    assert not column_survey.counts(seen, 1)


TEXT = "Ada Byron sang in Turin. Rain fell."
MARKED = ("B-PER", "E-PER", "O", "O", "S-LOC", "O")


@pytest.mark.parametrize(
    "row",
    [
        {"text": TEXT, "entities": [[18, 23, "LOC"], [0, 9, "PER"]]},
        {"text": TEXT, "entities": [[0, 10, "PER"], [17, 23, "LOC"]]},  # with blanks at the ends
        [TEXT, {"entities": [[0, 9, "PER"], [18, 23, "LOC"]]}],
        {"id": 1, "text": TEXT, "label": [[0, 9, "PER"], [18, 23, "LOC"]]},
        {"id": 1, "data": TEXT, "labels": [[0, 9, "PER"], [18, 23, "LOC"]]},
        {"text": TEXT, "entities": [{"start_offset": begin, "end_offset": end, "label": kind}
                                    for begin, end, kind in ((0, 9, "PER"), (18, 23, "LOC"))], "relations": []},
        {"text": TEXT, "tokens": [{"text": "Ada", "start": 0, "end": 3}], "answer": "accept",
         "spans": [{"start": 0, "end": 9, "label": "PER"}, {"start": 18, "end": 23, "label": "LOC"}]},
        {"text": TEXT, "label": [{"start": 0, "end": 9, "text": "Ada Byron", "labels": ["PER"]},
                                 {"start": 18, "end": 23, "text": "Turin", "labels": ["LOC"]}]},
    ],
)  # fmt: skip
def test_texts_with_offsets_are_read_as_predict_reads_texts(row: object, tmp_path: Path) -> None:
    path = put(tmp_path, json.dumps(row) + "\n" + json.dumps(row), "mine.jsonl")
    assert conll2003.fits(path)
    found = conll2003.read(path, "train", DATA)
    assert found.bad == []
    assert [example.target for example in found.examples] == [MARKED, ("O", "O", "O")] * 2
    assert [" ".join(example.text) for example in found.examples[:2]] == ["Ada Byron sang in Turin .", "Rain fell ."]
    assert [example.where for example in found.examples] == [f"{path}:1"] * 2 + [f"{path}:2"] * 2


@pytest.mark.parametrize(
    ("entities", "what"),
    [
        ([[0, 7, "PER"]], "'Ada Byr' (0 to 7) begins or ends inside the word 'Byron'"),
        ([[0, 9, "PER"], [4, 9, "X"]], "'Ada Byron' and 'Byron' overlap"),
        ([[0, 99, "PER"]], "0 to 99 lies outside of the text of 35 characters"),
        ([[-3, 2, "PER"]], "-3 to 2 lies outside of the text"),
        ([[9, 9, "PER"]], "9 to 9 lies outside of the text"),
        ([[9, 10, "PER"]], "9 to 10 holds no word"),
        ([[18, 29, "LOC"]], "runs over the end of a sentence"),
        ([[0, 9, 3]], "[0, 9, 3] is no entity"),
        ([["0", "9", "PER"]], "is no entity"),
        (
            [{"start": 0, "end": 8, "text": "Ada Byron", "label": "PER"}],
            "'Ada Byro' in the text, and 'Ada Byron' beside it",
        ),
    ],
)
def test_an_offset_with_a_fault_is_told_with_its_row(entities: list[object], what: str, tmp_path: Path) -> None:
    good = {"text": TEXT, "entities": []}
    content = "\n".join(map(json.dumps, [good, {"text": TEXT, "entities": entities}, good]))
    path = put(tmp_path, content, "mine.jsonl")
    found = conll2003.read(path, "train", DATA)
    assert len(found.examples) == 4
    ((where, message),) = found.bad
    assert where == f"{path}:2"
    assert what in message


@pytest.mark.parametrize(
    "rows",
    [
        [{"tokens": ["Ada", "sang"], "ner_tags": ["B-PER", "O"]}],
        [{"words": ["Ada", "sang"], "tags": ["B_PER", "0"]}],
        [{"text": ["Ada", "sang"], "label": ["PER", "O"]}],
        [{"tokens": ["Ada", "sang"], "ner_tags": [1, 0], "names": ["O", "B-PER"]}],
        [{"tokens": ["Ada", "sang"], "ner_tags": [1, 0], "labels": ["O", "B-PER"]}],
        [{"names": ["O", "B-PER"]}, {"tokens": ["Ada", "sang"], "ner_tags": [1, 0]}],
    ],
)
def test_lists_of_words_and_tags_are_read(rows: list[object], tmp_path: Path) -> None:
    path = put(tmp_path, "\n".join(map(json.dumps, rows)), "train.jsonl")
    assert conll2003.fits(path)
    assert conll2003.splits(tmp_path) == ("train",)
    (example,) = conll2003.read(tmp_path, "train", DATA).examples
    assert (example.text, example.target) == (("Ada", "sang"), ("S-PER", "O"))


def test_numbers_have_the_names_of_the_file_or_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    table = pa.table({"tokens": [["Ada", "sang"]], "ner_tags": [[2, 0]]})
    features = {"ner_tags": {"feature": {"names": ["O", "B-X", "B-PER"], "_type": "ClassLabel"}, "_type": "Sequence"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    write_table(table.replace_schema_metadata(metadata), tmp_path / "train.parquet")
    (example,) = conll2003.read(tmp_path, "train", DATA).examples
    assert example.target == ("S-PER", "O")
    write_table(table, tmp_path / "train.parquet")
    with pytest.raises(DataError, match="'ner_tags' are numbers without names") as caught:
        conll2003.read(tmp_path, "train", DATA)
    assert caught.value.where == f"{tmp_path / 'train.parquet'}:1"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"tokens": ["Ada", "sang"], "ner_tags": ["O"]}, "2 words and 1 tag"),
        ({"tokens": ["Ada"]}, "1 word and no list 'ner_tags'"),
        ({"tokens": ["Ada", ""], "ner_tags": ["O", "O"]}, "'tokens' are not words"),
        ({"tokens": ["\ud800"], "ner_tags": ["O"]}, "half of a surrogate pair"),
        ({"tokens": ["Ada"], "ner_tags": ["NNP"]}, "'NNP' is not a tag"),
        ({"tokens": ["Ada"], "ner_tags": [None]}, "'ner_tags' are not words"),
        ({"other": 1}, "no 'tokens'"),
    ],
)
def test_a_row_of_words_with_a_fault_is_told(row: object, what: str, tmp_path: Path) -> None:
    good = json.dumps({"tokens": ["Ada", "sang"], "ner_tags": ["B-PER", "O"]})
    path = put(tmp_path, f"{good}\n{json.dumps(row)}\n{good}\n{good}\n", "mine.jsonl")
    found = conll2003.read(path, "train", DATA)
    assert len(found.examples) == 3
    ((where, message),) = found.bad
    assert where == f"{path}:2"
    assert what in message


def test_what_an_annotator_did_not_accept_is_left_out_and_told(tmp_path: Path) -> None:
    rows = [{"text": "Ada", "spans": [{"start": 0, "end": 3, "label": "PER"}], "answer": answer}
            for answer in ("accept", "reject", "ignore")]  # fmt: skip
    path = put(tmp_path, "\n".join(map(json.dumps, rows)), "mine.jsonl")
    found = conll2003.read(path, "train", DATA)
    assert len(found.examples) == 1
    assert found.bad == []
    assert found.notes == (f"{path}:2: left out, not accepted by the annotator; 2 such rows",)


@pytest.mark.parametrize("row", [{"text": "fine", "label": "good"}, {"text": "fine", "label": ["good"]}, {"id": 1}])
def test_rows_without_entities_are_left_to_tables(row: object, tmp_path: Path) -> None:
    assert not conll2003.fits(put(tmp_path, json.dumps(row) + "\n" + json.dumps(row), "mine.jsonl"))
