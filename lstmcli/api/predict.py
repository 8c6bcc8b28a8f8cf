"""Predict the rows of a file, of a pipe or of arguments, and write the answers. Torch starts with the model."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from lstmcli.api import files
from lstmcli.errors import ConfigError, counted
from lstmcli.events import Listener, Noted, silent
from lstmcli.inference.decisions import AS_TRAINED, DecisionOptions, parsed
from lstmcli.storage import sinks
from lstmcli.storage.text_io import TextOptions, Texts
from lstmcli.types import Option

if TYPE_CHECKING:
    from lstmcli.inference.predict import Prediction, Predictions
    from lstmcli.storage.checkpoint import Checkpoint

__all__ = ["Answers", "DecisionOptions", "TextOptions", "parsed", "predict"]


@dataclass(frozen=True)
class Answers:
    """Rows whose answers are computed by ``run``.

    output: a file that they are written to; decisions: how labels follow from probabilities; explained: with the
    contributions of the words; select: choose so many rows that are most worth labelling, by the seed.
    """

    checkpoint: "Checkpoint"
    texts: Texts
    output: Path | None
    decisions: DecisionOptions = AS_TRAINED
    explained: bool = False
    select: int | None = None
    seed: int = 0

    def run(self, each: "Callable[[Prediction], object]", *, listener: Listener = silent) -> bool:
        """Call the function with each prediction, in order; return whether Ctrl-C interrupted it.

        The file then has what was finished.

        Raises:
            CheckpointError, ConfigError: the model has no trained head, does not write such a file, or does not fit the
                decisions.
            DataError: a row that cannot be used, with ``strict``.
            RuntimeSetupError: the file cannot be written.
        """
        from lstmcli.inference.predict import Predictions
        from lstmcli.machine import runtime

        self.texts.report = lambda text: listener(Noted(text))
        with runtime.unchanged(self.checkpoint.config):
            model = Predictions(self.checkpoint, self.decisions, listener=listener)
            found: Iterable[Prediction] = model.of(self.texts.windows(), explained=self.explained)
            if self.select is not None:
                found = self._selected(model, listener)
            with self._writing(model.blank) as put:
                try:
                    for prediction in found:
                        put(prediction.answer)
                        each(prediction)
                except KeyboardInterrupt:
                    return True
        return False

    def _selected(self, model: "Predictions", listener: Listener) -> "list[Prediction]":
        """Choose rows; report if there are too few."""
        from lstmcli.inference.select import selected

        assert self.select is not None
        windows = self.texts.windows()
        found = selected(self.checkpoint, model, windows, self.select, seed=self.seed, listener=listener)
        if len(found) < self.select:
            only = counted(len(found), "different text")
            listener(Noted(f"the pool has only {only} that the model has not learned from"))
        return found

    def _writing(self, blank: sinks.Answer) -> AbstractContextManager[Callable[[sinks.Answer], object]]:
        """Open the file. blank: the answer to a row that cannot be used."""
        if self.output is None:
            return nullcontext(lambda _: None)
        columns: sinks.Answer = {"row": 0} | blank
        if self.explained:
            from lstmcli.inference import explain

            columns |= explain.BLANK
        columns |= {} if self.texts.skip_bad else {"problem": ""}
        if self.select is not None:
            from lstmcli.inference import select

            columns = select.BLANK | ({select.UNSURE: ""} if self.checkpoint.label_sets else {})
        return sinks.sink(self.output, columns, self.texts.columns, typed=self.texts.typed)


def predict(
    texts: Sequence[str] = (),
    rows: TextOptions | None = None,
    *,
    model: files.Name | None = None,
    output: Path | None = None,
    decisions: DecisionOptions = AS_TRAINED,
    explained: bool = False,
    select: int | None = None,
    seed: int = 0,
    options: Sequence[Option] = (),
    listener: Listener = silent,
) -> Answers:
    """Open the rows and the model; ``run`` of what is returned predicts.

    Args:
        texts: To predict, in place of a file.
        rows: Which file to read, and how; None: standard input, where there are no texts.
        model, options: As in ``lstmcli.api.files``.
        output: A .jsonl, .csv, .tsv, .parquet or, by a tagger, .conll file for the answers.
        decisions: How labels follow from probabilities.
        explained: With the contribution of each word to the label, as ``Model.explain`` has it.
        select: Choose so many texts that are most worth labelling, each with an empty label and a proposal.
        seed: Of the selection.
        listener: Called with each event.

    Raises:
        CheckpointError, ConfigError, DataError: the model, an option or the input cannot be used.
        RuntimeSetupError: the output cannot be written.
    """
    if explained and select is not None:
        raise ConfigError("--explain and --select exclude each other", fix="leave one of them out")
    rows = rows or TextOptions()
    if select is not None:
        rows = replace(rows, skip_bad=not rows.strict)
    stream = Texts(texts, rows)
    if output is not None:
        sinks.check(output, rows.source)
    checkpoint, _ = files.opened(model, options, listener, weights=explained)
    if explained:
        checkpoint.check_one_label("--explain")
    if select is not None:
        checkpoint.check_whole_texts("--select")
    stream.open(checkpoint.config.data)
    if checkpoint.min_confidence and decisions.min_confidence is None:
        below = f"no label below a probability of {checkpoint.min_confidence:.3f}, as chosen in training"
        listener(Noted(f"{below}; always a label: --min-confidence 0"))
    return Answers(checkpoint, stream, output, decisions, explained, select, seed)
