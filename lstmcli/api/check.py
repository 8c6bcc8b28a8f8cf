"""Find what is wrong with labelled texts. Torch starts after the data has been read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmcli import recipes, registry
from lstmcli.api import files
from lstmcli.config import Data, RunConfig
from lstmcli.data import folders
from lstmcli.data.in_memory import SEPARATOR, Labels, Texts, are_sets, examples_of
from lstmcli.errors import ConfigError, DataError, did_you_mean, for_python, near_path, none_of
from lstmcli.events import Listener, silent
from lstmcli.storage import corrected, data_option, sinks
from lstmcli.storage import examples as inputs
from lstmcli.types import Option, Rows

if TYPE_CHECKING:
    from lstmcli.quality.audit import Audit
    from lstmcli.quality.findings import Finding

__all__ = ["Fixed", "Result", "check", "check_texts"]

REPORTS = (".jsonl", ".csv", ".tsv")
CERTAIN = 0.9  # confidence from which on a label is changed: tests/README.md has the share that is right
RECIPE = "table"  # what the texts would be trained with
SEPARATED = "data.label_separator"


@dataclass(frozen=True)
class Fixed:
    """What was written with corrections. paths: one file, or one per split; rows: written; unusable, duplicates: rows
    left out; labels: changed."""

    paths: list[Path]
    rows: int
    unusable: int
    duplicates: int
    labels: int


@dataclass(frozen=True)
class Result:
    """The findings, and what was written."""

    audit: "Audit"
    report: Path | None
    fixed: Fixed | None

    def plain(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        fixed = None if self.fixed is None else vars(self.fixed) | {"paths": list(map(str, self.fixed.paths))}
        report = None if self.report is None else str(self.report)
        return self.audit.plain() | {"report": report, "fixed": fixed}


def check(
    data: files.Name,
    *,
    report: Path | None = None,
    fix: Path | None = None,
    reading: Mapping[str, Any] = files.AS_IT_IS,
    options: Sequence[Option] = (),
    seed: int = 0,
    listener: Listener = silent,
) -> Result:
    """Check a file or a data set: label errors, copies, contradictions, outliers, truncated texts, learning curve.

    The frozen features are those of the model that ships, not of a model in ./runs, which may have learned the labels.

    Args:
        data: A file, a folder, or the name of a data set.
        report: A .jsonl, .csv or .tsv file for all findings.
        fix: A .csv, .tsv or .jsonl file for the data without rows that cannot be used and without exact duplicates, and
            with those suggested labels whose confidence is at least ``CERTAIN``; of several splits a folder for a .csv
            of each.
        reading, options: As in ``lstmcli.api.files``; options of the recipe ``table``.
        seed: Of the folds and draws.
        listener: Called with each event.

    Raises:
        ConfigError, DataError: an option or the data cannot be used, or has no labels of whole texts.
        RuntimeSetupError: a file cannot be written.
    """
    config = recipes.load(RECIPE, options=[*options, Option("seed", "--seed", seed), *_separated(reading)])
    source = _source(data, config, reading, listener)
    names = inputs.splits(source)
    if report is not None:
        _check_output(report, source, "--report", REPORTS)
    if fix is not None:
        _check_fix(fix, report, source, names)
    parts = {name: inputs.rows_of(source, name, listener=listener) for name in names}
    _check_texts(parts, source, fixed=fix is not None)
    config = config.model_copy(update={"data": source})

    from lstmcli.machine import runtime
    from lstmcli.quality import audit

    with runtime.unchanged(config):
        found = audit.run(config, parts, data=data_option.title(source), seed=seed, listener=listener)
    if report is not None:
        with sinks.sink(report, dict.fromkeys(_COLUMNS, ""), (), typed=False) as put:
            for finding in found.findings:
                put(finding.plain())
    return Result(found, report, None if fix is None else _fixed(fix, source, parts, found.findings))


def _separated(reading: Mapping[str, Any]) -> list[Option]:
    """Return the option of the recipe where a text can have several labels."""
    separator = reading.get("label_separator")
    return [Option(SEPARATED, "--label-separator", separator)] if separator else []


_COLUMNS = ("row", "kind", "label", "suggested", "confidence", "reason", "split", "file", "text")


def check_texts(texts: Texts, labels: Labels, *, seed: int = 0, listener: Listener = silent) -> "Audit":
    """Check texts in memory. A finding's ``row`` is the index of its text.

    Args:
        texts, labels: One string, int or bool per text; or a list of them, where a text can have several labels.
        seed: Of the folds and draws.
        listener: Called with each event.

    Raises:
        DataError: the lengths differ, a text is empty, or there is only one label.
    """
    from lstmcli.api.uncached import uncached
    from lstmcli.machine import runtime
    from lstmcli.quality import audit

    with for_python():
        labels = list(labels)
        sets = are_sets(labels)
        separated = [Option(SEPARATED, "labels=", SEPARATOR)] if sets else []
        config = recipes.load(RECIPE, options=[Option("seed", "seed=", seed), *separated])
        examples, _ = examples_of(texts, labels, words=False, sets=sets)
        with runtime.unchanged(config):
            parts = {"train": Rows(examples, [])}
            return audit.run(uncached(config), parts, data="texts", seed=seed, listener=listener)


def _source(data: files.Name, config: RunConfig, reading: Mapping[str, Any], listener: Listener) -> Data:
    """Return the data that is meant. Raises ConfigError where it has no labels of whole texts."""
    text = str(data)
    name = text.partition(":")[0]
    named = registry.ALIASES.get(name, name) in registry.DATASETS and name not in registry.LAYOUTS
    if named or not Path(text).exists():
        if not named:
            known = [one for one in registry.DATASETS if one not in registry.LAYOUTS]
            fix = near_path(Path(text)) or f"check the path, or name a data set; {did_you_mean(text, known)}"
            raise DataError("there is no such file, folder or data set", where=text, fix=fix)
        if reading.get("label_separator"):
            raise ConfigError(f"'{name}' has one label per text", where="--label-separator", fix="leave it out")
        return files.source(text, config, reading, listener)
    found = recipes.load(str(Path(text).absolute()))
    if registry.task(found.task).READS != "text":
        raise _of_words(text)
    return data_option.with_reading(found.data, reading)


def _of_words(where: str) -> ConfigError:
    fix = "give texts with one label each: a table with columns text and label"
    return ConfigError("check is for texts with one label each, not for tagged words", where=where, fix=fix)


def _check_texts(parts: Mapping[str, Rows], source: Data, *, fixed: bool) -> None:
    """Raise where there is nothing to check, or where the rows are to be fixed and cannot be distinguished."""
    if "train" not in parts:
        raise DataError("no split 'train'", where=data_option.title(source), fix="name one file: lstmcli check FILE")
    if not parts["train"].examples:
        bad = parts["train"].bad
        if bad:
            where, what = bad[0]
            raise DataError(f"{none_of(len(bad), 'row')} can be used: {what}", where=where, fix="correct the rows")
        raise data_option.no_examples(source, "train", inputs.root_of(source))
    for rows in parts.values():
        for example in rows.examples[:1]:
            if not isinstance(example.text, str) or example.target is None:
                raise _of_words(data_option.title(source))
    if fixed:
        _check_places(parts)


def _check_output(path: Path, source: Data, option: str, kinds: Sequence[str]) -> None:
    """Raise where the file cannot be written, or is one of the data's."""
    read = folders.files(inputs.root_of(source))
    for each in (None, *(one for paths in read.values() for one in paths)):
        sinks.check(path, each, option=option, kinds=kinds, what="the data")


def _check_fix(path: Path, report: Path | None, source: Data, names: Sequence[str]) -> None:
    if report is not None and path.resolve() == report.resolve():
        raise ConfigError("the findings would be written over", where=f"--fix {path}", fix="choose another file")
    if len(names) == 1:
        _check_output(path, source, "--fix", corrected.KINDS)
        return
    if path.suffix.lower() in corrected.KINDS:
        what = f"the data has several splits: {', '.join(names)}"
        raise ConfigError(what, where=f"--fix {path}", fix="name a folder, which gets a file for each")
    for name in names:
        _check_output(path / f"{name}.csv", source, "--fix", corrected.KINDS)


def _check_places(parts: Mapping[str, Rows]) -> None:
    """Raise DataError where two rows have one place, by which corrections find their row."""
    known = {where for rows in parts.values() for where, _ in rows.bad}
    for rows in parts.values():
        for example in rows.examples:
            if example.where in known:
                what = "the reader gives two rows the same place, so that they cannot be corrected one by one"
                raise DataError(what, where=example.where, fix="leave out --fix, and correct the rows by hand")
            known.add(example.where)


def _fixed(path: Path, source: Data, parts: Mapping[str, Rows], findings: "Sequence[Finding]") -> Fixed:
    """Write the data with the corrections that are safe."""
    wheres = {kind: {one.where for one in findings if one.kind == kind} for kind in ("unusable", "duplicate")}
    dropped = frozenset(wheres["unusable"] | wheres["duplicate"])
    labels = {
        one.where: one.suggested
        for one in findings
        if one.kind == "label error" and (one.confidence or 0) >= CERTAIN and one.where not in dropped
    }
    corrections = corrected.Corrections(dropped, labels)
    several = len(parts) > 1
    written = {name: path / f"{name}.csv" if several else path for name in parts}
    rows = sum(corrected.write(written[name], source, name, part.examples, corrections) for name, part in parts.items())
    unusable, duplicates = (len(wheres[kind]) for kind in ("unusable", "duplicate"))
    return Fixed(list(written.values()), rows, unusable, duplicates, len(labels))
