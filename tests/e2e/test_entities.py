"""Tagging from files in columns to entities in raw text, as a user meets it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lstmcli import recipes
from lstmcli.config import Data
from lstmcli.data.readers import conll2003, entities
from lstmcli.data.text import conll_format
from lstmcli.errors import ConfigError, DataError
from lstmcli.storage import examples as inputs
from tests.pages import check_figures, checked

Run = Callable[..., int]
SMALL = ["model.hidden=24", "model.embedding=16", "model.character_features=16", "train.batch_tokens=128",
         "precision=float32"]  # fmt: skip
NAMES = {"PER": ("Ada", "Grace", "Alan"), "LOC": ("Turin", "Oslo", "Lima")}


def write(folder: Path, scheme: str = "B") -> Path:
    """A corpus that can be learned: who went where, names of two words told apart by their letters."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["-DOCSTART- O", ""]
    for person in NAMES["PER"]:
        for place in NAMES["LOC"]:
            for verb in ("saw", "left"):
                lines += [f"{person} {scheme}-PER", "Byron I-PER", f"{verb} O", f"{place} {scheme}-LOC", ". O", ""]
                lines += [
                    f"{verb} O",
                    f"{place} {scheme}-LOC",
                    ". O",
                    "",
                    f"{verb} O",
                    f"Byron {scheme}-LOC",
                    ". O",
                    "",
                ]
    for name in ("train.txt", "valid.txt", "test.txt"):
        (folder / name).write_text("\n".join(lines), "utf-8")
    return folder


@pytest.fixture(scope="session")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from lstmcli.cli.app import main

    folder = tmp_path_factory.mktemp("tagger")
    sets = [part for override in [*SMALL, "model.vectors=none"] for part in ("--set", override)]
    arguments = ["train", str(write(folder / "mine")), *sets, "--epochs", "25", "--out", str(folder / "run"), "-q"]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code
    return folder / "run" / "model.pt"


def test_a_folder_of_columns_is_learned_and_scored(tagger: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "-c", tagger, "--json", "-q") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["task"], report["split"], report["examples"]) == ("tag", "test", 54)
    assert report["metrics"]["f1"]["value"] == 1.0
    assert set(report["metrics"]) == {"precision", "recall", "f1"}
    assert {name: own["entities"] for name, own in report["types"].items()} == {"LOC": 54, "PER": 18}
    assert set(report["baselines"]) == {"majority", "linear"}
    assert report["baselines"]["majority"]["f1"]["value"] < 1.0  # Byron is a person's name, and once a place
    assert run("evaluate", "-c", tagger) == 0
    shown = capsys.readouterr().out
    for part in ("precision", "type", "LOC", "PER", "error", "wrong boundary", "never"):
        assert part in shown


def test_entities_lie_where_the_raw_text_has_them(tagger: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    text = "  Ada\tByron saw Turin.  left Oslo!\n\nGrace Byron left Lima.  "
    assert run("predict", "-c", tagger, "-q", text, "saw .") == 0
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())  # JSON where no terminal is
    assert first["text"] == text
    found = [(one["text"], one["label"]) for one in first["entities"]]
    assert found == [("Ada\tByron", "PER"), ("Turin", "LOC"), ("Oslo", "LOC"), ("Grace Byron", "PER"), ("Lima", "LOC")]
    for one in first["entities"]:
        assert text[one["start"] : one["end"]] == one["text"]
        assert 0 < one["probability"] <= 1
    assert second == {"row": 2, "text": "saw .", "entities": []}


def test_sentences_do_not_change_each_other(tagger: Path, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["Ada Byron saw Turin.", "left Oslo.", "Nobody knows Zanzibar " * 30]
    answers = []
    for texts_of_a_call in (texts, texts[:1], texts[1:2], texts[2:]):
        assert run("predict", "-c", tagger, "-q", "--json", *texts_of_a_call) == 0
        answers.append([json.loads(line) for line in capsys.readouterr().out.splitlines()])
    together, alone = answers[0], [answer[0] for answer in answers[1:]]
    for one, other in zip(together, alone, strict=True):
        assert [entity["start"] for entity in one["entities"]] == [entity["start"] for entity in other["entities"]]


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".parquet"])
def test_entities_go_into_files(tagger: Path, run: Run, tmp_path: Path, ending: str) -> None:
    (tmp_path / "in.txt").write_text("\nsaw .\nAda Byron saw Turin.\n", "utf-8")
    target = tmp_path / f"out{ending}"
    assert run("predict", "-c", tagger, "-q", "--input", tmp_path / "in.txt", "--output", target) == 0
    if ending == ".jsonl":
        rows = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    else:
        import csv

        from pyarrow.parquet import read_table

        with target.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file)) if ending == ".csv" else read_table(target).to_pylist()
        rows = [row | {"entities": json.loads(row["entities"])} for row in rows]
    assert [len(row["entities"]) for row in rows] == [0, 0, 2]
    assert [row.get("problem") or "" for row in rows] == ["a blank line", "", ""]
    assert rows[2]["entities"][1]["text"] == "Turin"


def test_a_terminal_shows_entities_in_colour(tagger: Path, run: Run, capsys: pytest.CaptureFixture[str],
                                             monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    assert run("predict", "-c", tagger, "-q", "Ada Byron saw Turin.") == 0
    shown = capsys.readouterr().out
    assert "\x1b[" in shown
    assert "[PER]" in shown
    assert "[LOC]" in shown


def test_a_tagger_adapts_to_names_of_another_place(
    tagger: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"{person} O\nof O\n{place} B-LOC\n" for person in ("Emmy", "Sofia", "Lise") for place in ("Bern", "Kyiv")]
    (tmp_path / "new.conll").write_text("\n".join(lines * 3 + [f"in O\n{place} B-LOC\n" for place in ("Bonn", "Rome")]))
    arguments = ["-c", tagger, "--data", tmp_path / "new.conll", "--steps", "60", "--shots", "4", "--json", "-q"]
    assert run("adapt", *arguments, "--out", tmp_path / "adapted.pt") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["support"] == {"LOC": 4}
    assert report["after"]["f1"]["value"] > report["before"]["f1"]["value"]
    assert run("predict", "-c", tmp_path / "adapted.pt", "-q", "Emmy of Bern") == 0
    assert [one["text"] for one in json.loads(capsys.readouterr().out)["entities"]] == ["Bern"]
    assert run("evaluate", "-c", tmp_path / "adapted.pt", "-q") == 0  # on what it was trained on
    (tmp_path / "other.conll").write_text("a B-DRUG\n\nb O\n")
    assert run("adapt", "-c", tagger, "--data", tmp_path / "other.conll", "-q") == 2
    assert "no entities of type DRUG" in capsys.readouterr().err


def test_data_of_another_kind_is_reported(tagger: Path, trained: Path, run: Run, tmp_path: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    assert run("evaluate", "-c", tagger, "--data", "reviews") == 2
    assert "the model tags words" in capsys.readouterr().err
    assert run("evaluate", "-c", trained, "--data", "entities") == 2
    assert "the model labels whole texts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("recipe", "model", "what", "fix"),
    [
        ("reviews", "{name: tagger}", "the data has labels of whole texts", "--set model.name=classifier"),
        ("entities", "{name: classifier}", "the data has a tag for each word", "--set model.name=tagger"),
    ],
)
def test_data_that_the_model_does_not_learn_from_is_reported(recipe: str, model: str, what: str, fix: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        inputs.read(recipes.load(recipe, overrides=[f"model={model}"]))
    assert caught.value.fix == fix


def test_a_model_of_an_unknown_name_is_reported() -> None:
    with pytest.raises(ConfigError, match="'rnn' is not a model") as caught:
        recipes.load("reviews", overrides=["model.name=rnn"])
    assert "classifier, language-model, multilabel, tagger" in caught.value.fix


def test_conll_is_another_name_of_conll2003(tmp_path: Path) -> None:
    assert recipes.load("conll") == recipes.load("conll2003")
    assert recipes.load(str(write(tmp_path / "mine"))).data.name == "conll2003"
    (tmp_path / "prose.txt").write_text("Just two\nlines of prose\n")
    with pytest.raises(ConfigError, match="no data that a standard recipe fits"):
        recipes.load(str(tmp_path / "prose.txt"))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("word", "1 column where the file began with 2"),
        ("a b c", "3 columns where the file began with 2"),
        ("word X-PER", "'X-PER' is not a tag"),
        ("word PER", "'PER' is not a tag"),
        ("w\udcff O", "bytes that are not UTF-8"),
    ],
)
def test_an_unusable_line_is_reported_with_its_number(tmp_path: Path, line: str, what: str) -> None:
    path = tmp_path / "train.txt"
    path.write_bytes(f"Ada B-PER\n. O\n\nbad O\n{line}\n\nTurin B-LOC\n".encode("utf-8", "surrogateescape"))
    found = conll_format.read(path)
    assert [example.text for example in found.examples] == [("Ada", "."), ("Turin",)]
    ((where, message),) = found.bad
    assert where == f"{path}:5"
    assert what in message


def test_all_schemes_and_line_ends_are_read(tmp_path: Path) -> None:
    expected = ("B-PER", "E-PER", "O", "S-LOC")
    for number, tags in enumerate(
        (["I-PER", "I-PER", "O", "I-LOC"], ["B-PER", "I-PER", "O", "B-LOC"], ["B-PER", "L-PER", "O", "U-LOC"])
    ):
        path = tmp_path / f"{number}.conll"
        rows = zip(("Ada", "Byron", "saw", "Turin"), tags, strict=True)
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(f"{word}\tNN\t{tag}" for word, tag in rows).encode())
        (example,) = conll_format.read(path).examples
        assert (example.text, example.target, example.where) == (
            ("Ada", "Byron", "saw", "Turin"),
            expected,
            f"{path}:1",
        )


def test_a_very_long_sentence_is_cut_where_no_entity_runs(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    rows = ["w O"] * (conll_format.LONGEST - 1) + ["a B-PER", "b I-PER", "c I-PER"] + ["w O"] * 5
    path.write_text("\n".join(rows))
    first, second = conll_format.read(path).examples
    assert (len(first.text), len(second.text)) == (conll_format.LONGEST - 1, 8)
    assert second.target[:3] == ("B-PER", "I-PER", "E-PER")
    assert second.where == f"{path}:{conll_format.LONGEST}"


def test_the_hubs_layout_is_read(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    tokens = [["Ada", "Byron"], ["-DOCSTART-"], ["x"], [], ["y"], ["z", ""], ["z", None], ["u", "v"]]
    rows = {"tokens": tokens, "ner_tags": [[1, 2], [0], [99], [], [-1], [0, 0], [0, 0], [0]]}
    folder = tmp_path / "lhoestq--conll2003"  # as it is kept in the cache; elsewhere numbers need names
    folder.mkdir()
    write_table(pa.table(rows), folder / "train.parquet")
    found = conll2003.read(folder, "train", Data(name="conll2003"))
    assert [(example.text, example.target) for example in found.examples] == [(("Ada", "Byron"), ("B-PER", "E-PER"))]
    assert [where.rsplit(":", 1)[1] for where, _ in found.bad] == ["3", "4", "5", "6", "7", "8"]


def test_types_that_are_not_there_have_no_figures_but_no_crash(
    tagger: Path, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "places.conll").write_text("saw O\nLima B-LOC\n. O\n")
    (tmp_path / "none.conll").write_text("no O\nnames O\n")
    for name, there in (("places", 1), ("none", 0)):
        assert run("evaluate", "-c", tagger, "--data", tmp_path / f"{name}.conll", "--json", "-q") == 0
        types = json.loads(capsys.readouterr().out)["types"]
        assert {kind: own["entities"] for kind, own in types.items()} == {"LOC": there, "PER": 0}
    (tmp_path / "more.conll").write_text("x B-DRUG\n")
    assert run("evaluate", "-c", tagger, "--data", tmp_path / "more.conll", "-q") == 2
    assert "no entities of type DRUG" in capsys.readouterr().err
    assert run("adapt", "-c", tagger, "--data", tmp_path / "none.conll", "-q") == 2
    assert "no entities to learn" in capsys.readouterr().err
    assert run("adapt", "-c", tagger, "-q", "--shots", "1", "--steps", "1") == 2  # the bundled names: of other types
    assert "no entities of type MISC, ORG" in capsys.readouterr().err


def test_one_tag_for_every_word_is_learned_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "all.conll").write_text("\n\n".join(f"w{number} B-PER" for number in range(30)))
    sets = [part for override in [*SMALL, "model.vectors=none"] for part in ("--set", override)]
    assert run("train", tmp_path / "all.conll", *sets, "--epochs", "1", "--out", tmp_path / "run", "-q") == 0
    assert (tmp_path / "run" / "config.yaml").is_file()


def test_crops_are_not_for_tags() -> None:
    with pytest.raises(ConfigError, match=r"train\.crop is for texts with labels"):
        recipes.load("entities", overrides=["train.crop=10"])


def test_white_space_of_other_kinds_may_be_in_a_word(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("1\u00a0000 O\nmen O\n", "utf-8")
    (example,) = conll_format.read(tmp_path / "train.txt").examples
    assert example.text == ("1\u00a0000", "men")


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such file"):
        conll_format.read(tmp_path / "none.txt")


def test_the_bundled_sentences_are_many_of_all_types_and_unique() -> None:
    texts: list[tuple[str, ...]] = []
    for split in entities.splits(entities.BUNDLED):
        found = entities.read(entities.BUNDLED, split, Data(name="entities"))
        assert found.bad == []
        kinds = {tag[2:] for example in found.examples for tag in example.target if tag != "O"}
        assert kinds == {"PER", "LOC", "ORG", "MISC"}
        texts += [example.text for example in found.examples]
    assert len(texts) == len(set(texts)) >= 150


def test_a_tagger_begins_with_another_though_its_data_has_fewer_types(tagger: Path, run: Run, tmp_path: Path) -> None:
    from lstmcli.storage import checkpoint as checkpoints

    folder = tmp_path / "places"
    folder.mkdir()
    for name in ("train.txt", "valid.txt"):
        (folder / name).write_text("Oslo B-LOC\nslept O\n. O\n\nthey O\nleft O\nLima B-LOC\n\n" * 8, "utf-8")
    still = ["--set", f"model.init={tagger}", "--set", "train.lr=1e-12", "--set", "train.weight_decay=0"]
    sets = [part for override in [*SMALL, "model.vectors=none"] for part in ("--set", override)]
    assert run("train", folder, *sets, *still, "--epochs", "1", "--out", tmp_path / "run", "-q") == 0
    origin, started = checkpoints.load(tagger), checkpoints.load(tmp_path / "run" / "model.pt")
    assert started.vocabulary.state() == origin.vocabulary.state()
    for name, value in origin.group("model").items():
        torch.testing.assert_close(started.group("model")[name], value, rtol=0, atol=1e-6)


def test_the_page_of_a_tagger_has_its_types_and_kinds_of_error(tagger: Path, run: Run, tmp_path: Path) -> None:
    assert run("evaluate", "-c", tagger, "--report", tmp_path / "report", "-q") == 0
    page = checked(tmp_path / "report")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    check_figures(page, report)
    for kind, count, *figures in page.tables["Figures by type of entity"][1:]:
        of_kind = report["types"][kind]
        assert int(count) == of_kind["entities"]
        assert figures[:3] == [f"{of_kind[name]['value']:.1%}" for name in ("precision", "recall", "f1")]
    counts = {kind: int(number) for kind, number, _ in page.tables["Errors"][1:]}
    assert counts == {kind.replace("_", " "): sum(of_kind.values()) for kind, of_kind in report["confusions"].items()}
