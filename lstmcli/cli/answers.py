"""How answers to rows are shown: a line per row, on a terminal, in a pipe, or as JSON."""

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from lstmcli.cli import entities
from lstmcli.cli.console import printable
from lstmcli.cli.figures import predicted
from lstmcli.cli.render import Screen
from lstmcli.events import Progress

if TYPE_CHECKING:
    from lstmcli.inference.predict import Prediction
    from lstmcli.storage.sinks import Answer, Put
    from lstmcli.storage.text_io import Texts

SHOWN = 200  # characters of a text on a terminal


def show(screen: Screen, predictions: "Iterable[Prediction]", texts: "Texts", put: "Put | None" = None) -> bool:
    """Show answers as they come, or hand each on to ``put``; return whether Ctrl-C ended that."""
    texts.report = screen.note
    begun = time.perf_counter()
    count = unanswered = truncated = 0
    unknown = None
    interrupted = False
    with screen.listening() as listener:
        try:
            for prediction in predictions:
                count += 1
                unanswered += "problem" in prediction.said
                truncated += prediction.truncated
                unknown = prediction.unknown if unknown is None else unknown + prediction.unknown
                if put is not None:
                    put(prediction.said)
                    listener(Progress("predicting", count))
                else:
                    _answer(screen, prediction.said, texts.columns, flush=texts.live)
        except KeyboardInterrupt:
            interrupted = True
    answered = count - unanswered
    if not count and not interrupted:
        screen.note("there were no texts")
    for remark in unknown.remarks() if unknown else ():
        screen.note(remark)
    if truncated:
        screen.note(f"{truncated} of {answered} texts are longer than the model reads: head and tail were read")
    if texts.unanswered:
        what = "was skipped" if texts.skip_bad else "has an empty answer in its place: --skip-bad leaves it out"
        each = "1 row" if texts.unanswered == 1 else f"each of {texts.unanswered:,} rows"
        screen.note(f"{each} that cannot be used {what}")
    seconds = time.perf_counter() - begun
    if put is not None:
        screen.err.print(f"{count:,} texts in {seconds:.1f} s ({count / max(seconds, 1e-9):,.0f} per second)")
    return interrupted


def _answer(screen: Screen, said: "Answer", columns: "Iterable[str]", *, flush: bool) -> None:
    from lstmcli.storage.sinks import cell

    kept = [(column, cell(said["kept"].get(column))) for column in columns] if "kept" in said else []
    if screen.json or ("label" not in said and not screen.out.is_terminal):
        screen.print_json(said)
    elif not screen.out.is_terminal:
        probability = "" if said["probability"] is None else f"{said['probability']:.4f}"
        cells = [said["label"], probability, said["text"], *(value for _, value in kept)]
        sys.stdout.write("\t".join(map(_one_line, cells)) + "\n")
    else:
        beside = printable("".join(f"  {column}={value}" for column, value in kept))
        screen.out.print(Text.assemble(_marked(said), (beside, "dim")))
    if flush:
        sys.stdout.flush()


def _marked(said: "Answer") -> Text:
    """The answer as a terminal shows it."""
    if "problem" in said:
        return Text(f"row {said['row']}: {said['problem']}", "yellow")
    if "next" in said:
        return Text(printable(predicted(said)))
    if "entities" in said:
        return entities.marked(said["text"], said["entities"])
    text = printable(" ".join(said["text"].split()))
    return Text.assemble((printable(said["label"]), "bold"), f" {said['probability']:6.1%}  {text[:SHOWN]}")


def _one_line(text: str) -> str:
    """The text as one cell of a line."""
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")
