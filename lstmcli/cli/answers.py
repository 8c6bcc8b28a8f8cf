"""Show answers: one line per row, on a terminal, in a pipe, or as JSON."""

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.text import Text

from lstmcli.cli import contributions, entities
from lstmcli.cli.escapes import printable
from lstmcli.cli.figures import predicted
from lstmcli.cli.render import Screen
from lstmcli.errors import counted, verb
from lstmcli.events import Progress

if TYPE_CHECKING:
    from lstmcli.api.predict import Answers
    from lstmcli.inference.predict import Prediction
    from lstmcli.storage.sinks import Answer

SHOWN = 200  # characters of a text on a terminal


def show(screen: Screen, found: "Answers") -> None:
    """Show answers as they come, or write them; then what was remarkable. Raises KeyboardInterrupt after Ctrl-C."""
    texts = found.texts
    begun = time.perf_counter()
    count = unanswered = truncated = 0
    unknown = None

    def each(prediction: "Prediction") -> None:
        nonlocal count, unanswered, truncated, unknown
        count += 1
        unanswered += "problem" in prediction.answer
        truncated += prediction.truncated
        unknown = prediction.unknown if unknown is None else unknown + prediction.unknown
        if found.output is not None:
            listener(Progress("predicting", count))
        else:
            _show_answer(screen, prediction.answer, texts.columns, flush=texts.live)

    with screen.listening() as listener:
        interrupted = found.run(each, listener=listener)
    answered = count - unanswered
    if not count and not interrupted:
        screen.note("there were no texts")
    for remark in unknown.remarks() if unknown else ():
        screen.note(remark)
    if truncated:
        uncounted = "; words between them contribute 0" if found.explained else ""
        what = f"{truncated} of {counted(answered, 'text')} {verb(truncated, 'are')} longer than the model reads"
        screen.note(f"{what}: head and tail were read{uncounted}")
    if texts.unanswered:
        what = "was skipped" if texts.skip_bad else "has an empty answer: --skip-bad leaves it out"
        each_row = ("" if texts.unanswered == 1 else "each of ") + counted(texts.unanswered, "row")
        screen.note(f"{each_row} that cannot be used {what}")
    seconds = time.perf_counter() - begun
    if found.select is not None:
        screen.note("fill in the column label, and adapt the model: rows with an empty label are not learned")
    elif found.output is not None:
        screen.err.print(f"{counted(count, 'text')} in {seconds:.1f} s ({count / max(seconds, 1e-9):,.0f} per second)")
    _show_output(screen, found, interrupted=interrupted)


def _show_output(screen: Screen, found: "Answers", *, interrupted: bool) -> None:
    """Report columns that were not kept, and after Ctrl-C what was; then raise KeyboardInterrupt."""
    output = found.output
    if found.texts.further and not screen.json and (output is None or output.suffix.lower() != ".jsonl"):
        missed = ", ".join(found.texts.further)
        screen.note(f"columns that come late are not kept: {missed}; name them with --keep, or keep all as JSON lines")
    if interrupted:
        screen.interrupted("" if output is None else f"what was finished is in {output}")
        raise KeyboardInterrupt


def _show_answer(screen: Screen, answer: "Answer", columns: "Iterable[str]", *, flush: bool) -> None:
    from lstmcli.storage.sinks import cell

    kept = [(column, cell(answer["kept"].get(column))) for column in columns] if "kept" in answer else []
    if screen.json or (("label" not in answer or "proposal" in answer) and not screen.out.is_terminal):
        screen.print_json(answer)
    elif not screen.out.is_terminal:
        probability = "" if answer["probability"] is None else f"{answer['probability']:.4f}"
        asked = [cell(answer[name]) for name in ("set", "in_scope", "contributions") if name in answer]
        cells = [answer["label"], probability, answer["text"], *asked, *(value for _, value in kept)]
        sys.stdout.write("\t".join(map(_one_line, cells)) + "\n")
    else:
        columns_shown = printable("".join(f"  {column}={value}" for column, value in kept))
        screen.out.print(Text.assemble(_styled(answer), (columns_shown, "dim")))
    if flush:
        sys.stdout.flush()


def _styled(answer: "Answer") -> Text:
    """Format an answer for a terminal."""
    if "problem" in answer:
        return Text(f"row {answer['row']}: {answer['problem']}", "yellow")
    if "next" in answer:
        return Text(printable(predicted(answer)))
    if "entities" in answer:
        return entities.marked(answer["text"], answer["entities"])
    text = printable(" ".join(answer["text"].split()))
    if "labels" in answer:
        given = [f"{printable(label)} {answer['probabilities'][label]:.1%}" for label in answer["labels"]]
        return Text.assemble((", ".join(given), "bold") if given else ("no label", "yellow"), f"  {text[:SHOWN]}")
    if "proposal" in answer:
        unsure = f" {printable(answer['unsure'])}" if "unsure" in answer else ""
        return Text.assemble(
            (f"{printable(answer['proposal'])}?", "bold"), f" {answer['probability']:6.1%}{unsure}  {text}"
        )
    label = (printable(answer["label"]), "bold") if answer["label"] else ("no label", "yellow")
    sets = f"  {{{printable(', '.join(answer['set']))}}}" if "set" in answer else ""
    sets += "" if answer.get("in_scope", True) else "  out of scope"
    heading = Text.assemble(label, f" {answer['probability']:6.1%}{sets}")
    if "contributions" in answer:
        return contributions.marked(answer, heading)
    return Text.assemble(heading, f"  {text[:SHOWN]}")


def _one_line(text: str) -> str:
    """Replace tabs and line ends, which would split a cell or a line."""
    return text.replace("\t", " ").replace("\n", " ").replace("\r", " ")
