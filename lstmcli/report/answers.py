"""The panels of single answers: calibration, thresholds, confusions, the worst mistakes."""

from collections.abc import Mapping, Sequence
from typing import Any

from lstmcli.inference import emphasis
from lstmcli.report import charts, html, judged
from lstmcli.report.charts import Axis, Series, percent
from lstmcli.report.judged import Array, Judged, Mistake
from lstmcli.report.panels import Panel
from lstmcli.report.svg import clean, cut, shortened
from lstmcli.storage.sinks import Answer

SQUARE = 12  # labels of a confusion matrix; with more, the most confused pairs are listed
PAIRS = 20
MISTAKES = 10
TEXT = 320  # characters of a text
AROUND = 90  # characters before and after an entity
LEGEND = (
    "<p>Words are marked by what they contribute to the predicted label, in nats of its log odds: "
    '<mark class="for s2">for it</mark> or <mark class="against s2">against it</mark>.</p>'
)
SHOWN = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # thresholds in the table


def calibration(found: Judged, uncalibrated: Array, temperature: float, ece: float | None) -> Panel:
    """Show how often answers of a probability are right, before and after temperature scaling."""
    after, before = judged.bins(found.probability, found.right), judged.bins(uncalibrated, found.right)
    described = "; ".join(f"{at:.0%} given, {right:.0%} right" for at, right, _ in after)
    chart = charts.reliability(
        [(at, right) for at, right, _ in before],
        [(at, right) for at, right, _ in after],
        [count for _, _, count in after],
        f"Reliability diagram: {described}",
    )
    names = [f"as it answers, temperature {temperature:.2f}", "before temperature scaling"]
    error = "" if ece is None else f" The calibration error is {ece:.1%}."
    caption = (
        f"Of the {found.what} with about this probability, the fraction that is right. On the dotted diagonal "
        f"both agree; below it the model is too sure. Bars: how many {found.what}.{error}"
    )
    rows = [[f"{at:.1%}", f"{right:.1%}", f"{count:,}"] for at, right, count in after]
    body = (
        html.figure(chart, caption, html.legend(names)),
        html.data("After temperature scaling", ["mean probability", "fraction right", found.what], rows),
    )
    return "calibration", "Calibration", html.section("calibration", "Are the probabilities right?", *body)


def thresholds(found: Judged, rows: Sequence[judged.Threshold], listed: Sequence[judged.Threshold]) -> Panel:
    """Show what is left, and how much of it is right, where only confident answers count. rows: of the chart; listed:
    of the table, of which those of ``SHOWN`` are."""
    series = [
        Series("precision", [(row.threshold, row.precision) for row in rows], [row.low for row in rows],
               [row.high for row in rows]),
        Series("recall", [(row.threshold, row.recall) for row in rows]),
        Series("coverage", [(row.threshold, row.coverage) for row in rows]),
    ]  # fmt: skip
    begin = int(10 * max(row.threshold for row in rows if row.coverage == 1) + 1e-9) / 10  # below, all count
    across = Axis(begin, 1, "threshold: smallest probability that counts")
    chart = charts.lines(series, across, Axis(0, 1, "fraction"), "Precision, recall and coverage over thresholds")
    caption = (
        f"If answers below the threshold are left to a person. Coverage: {found.what} that are left. Precision: those "
        "of them that are right, with its 95 % interval. Recall: right answers that are left, of all that there are."
    )
    chosen = [row for row in listed if row.threshold in SHOWN]
    cells = [[percent(row.threshold), f"{row.coverage:.1%}", f"{row.precision:.1%}",
               f"{row.low:.1%} to {row.high:.1%}", f"{row.recall:.1%}"] for row in chosen]  # fmt: skip
    columns = ["threshold", "coverage", "precision", "95 % interval", "recall"]
    body = (
        html.figure(chart, caption, html.legend([one.name for one in series])),
        html.data("Thresholds", columns, cells),
    )
    return "thresholds", "Thresholds", html.section("thresholds", "Answer only where it is sure", *body)


def confusion(rows: Sequence[judged.Row], labels: Sequence[str]) -> Panel:
    """Show the confusion matrix; of many labels, the most confused pairs."""
    counts = judged.confusion(rows, labels)
    pairs = judged.confused(counts, labels)
    listed = [
        [true, predicted, f"{count:,}", f"{count / max(1, total):.1%}"] for true, predicted, count, total in pairs
    ]
    columns = ["true label", "predicted", "texts", "of the true label"]
    if len(labels) <= SQUARE:
        described = "; ".join(f"{true} as {predicted}: {count}" for true, predicted, count, _ in pairs[:PAIRS])
        chart = charts.matrix(labels, counts.tolist(), f"Confusion matrix. {described or 'No confusions'}")
        caption = "Texts by true label (rows) and predicted label (columns); the shade is the fraction of the row."
        more = [html.details("The confusions", html.table("Confusions", columns, listed, texts=(1,)))] if pairs else []
        body = [html.figure(chart, caption), *more]
    elif pairs:
        drawn = [
            (f"{cut(true, 15)} → {cut(predicted, 15)}", float(count), f"{count:,}")
            for true, predicted, count, _ in pairs[:PAIRS]
        ]
        chart = charts.bars(drawn, f"The most confused pairs of {len(labels)} labels", named=300)
        caption = f"The {len(drawn)} most confused pairs of {len(labels)} labels, true → predicted, and their texts."
        body = [html.figure(chart, caption), html.data("The most confused pairs", columns, listed[:PAIRS])]
    else:
        body = [html.paragraph("No text has another label than the true one.")]
    return "confusion", "Confusions", html.section("confusion", "Which labels are confused?", *body)


def entities(details: Mapping[str, Any]) -> Panel:
    """Show the figures of each type of entity, and the errors by kind."""
    rows = [
        [kind, f"{row['entities']:,}", *(f"{row[name]['value']:.1%}" for name in ("precision", "recall", "f1")),
         f"{row['f1']['low']:.1%} to {row['f1']['high']:.1%}"]
        for kind, row in details["types"].items()
    ]  # fmt: skip
    columns = ["type", "true entities", "precision", "recall", "F1", "95 % interval of F1"]
    errors = judged.most_frequent(details["confusions"])
    chart = charts.bars([(kind, float(count), f"{count:,}") for kind, count, _ in errors],
                        "; ".join(f"{kind}: {count}" for kind, count, _ in errors), named=130)  # fmt: skip
    caption = (
        "Errors by kind. Wrong type: the right words with another type. Wrong boundary: it overlaps a true entity. "
        "Missed: a true entity that no predicted one overlaps. Invented: it overlaps no true entity."
    )
    listed = [[kind, f"{count:,}", frequent] for kind, count, frequent in errors]
    body = (
        html.table("Figures by type of entity", columns, rows),
        "<h3>Kinds of error</h3>",
        html.figure(chart, caption),
        html.details("The errors by type", html.table("Errors", ["error", "number", "most often"], listed, texts=(2,))),
    )
    return "entities", "Types and errors", html.section("entities", "Types of entity, and kinds of error", *body)


def labels(details: Mapping[str, Any]) -> Panel:
    """Show the figures of each label, where a text can have several."""
    rows = [
        [label, f"{row['texts']:,}", *(f"{row[name]['value']:.1%}" for name in ("precision", "recall", "f1")),
         f"{row['f1']['low']:.1%} to {row['f1']['high']:.1%}", f"{row['threshold']:.3f}"]
        for label, row in sorted(details["by_label"].items(), key=lambda item: -item[1]["f1"]["value"])
    ]  # fmt: skip
    columns = ["label", "texts with it", "precision", "recall", "F1", "95 % interval of F1", "threshold"]
    body = (
        html.paragraph(
            "A text is given each label whose probability reaches its threshold, chosen on validation data, or 0.5 "
            "after adaptation."
        ),
        html.table("Figures by label", columns, rows),
    )
    return "labels", "Labels", html.section("labels", "Each label", *body, wide=True)


def mistakes(found: Judged, reasons: Sequence[Answer] = ()) -> Panel:
    """Show the wrong answers of which the model was surest. reasons: the contributions of the words of each."""
    title = "The most confident mistakes"
    if not found.mistakes:
        return "mistakes", "Mistakes", html.section("mistakes", title, html.paragraph("There are none."), wide=True)
    chosen, count = found.mistakes[:MISTAKES], len(found.mistakes)
    listed = "".join(map(_explained, chosen, reasons) if reasons else map(_mistake, chosen))
    text = (
        f"The {len(chosen)} of {count:,} wrong answers with the highest probability. Often the label in the "
        "data is wrong, or the text means both."
    )
    body = [html.paragraph(text), f'<ol class="mistakes">{listed}</ol>']
    if reasons:
        body.insert(1, LEGEND)
    return "mistakes", "Mistakes", html.section("mistakes", title, *body, wide=True)


def _mistake(mistake: Mistake) -> str:
    before, within, after = mistake.before, mistake.within, mistake.after
    if not within:
        return _item(mistake, clean(shortened(before, TEXT)))
    before = before if len(before) <= AROUND else f"…{before[-AROUND:]}"
    quoted = f"{clean(before)} <mark>{clean(shortened(within, AROUND))}</mark> {clean(shortened(after, AROUND))}"
    return _item(mistake, quoted)


def _explained(mistake: Mistake, reasons: Answer) -> str:
    """Return a mistake with its words marked, of a long text the part with the largest weights."""
    text, weights = mistake.before, reasons["contributions"]
    begin, end = emphasis.excerpt(text, weights, TEXT)
    marked = "".join(map(_piece, emphasis.pieces(text, weights, reasons["cut"], (begin, end))))
    quoted = f"{'…' if begin else ''}{marked}{'…' if end < len(text) else ''}"
    lines = [
        f"<p>{name} it: {', '.join(f'{clean(word)}&nbsp;{weight:+.2f}' for word, weight in words)}</p>"
        for name, words in emphasis.strongest(text, weights)
        if words
    ]
    return _item(mistake, quoted, *lines)


def _piece(piece: emphasis.Piece) -> str:
    if not piece.read:
        return "[… not read …]"
    if piece.level == 0:
        return clean(piece.text)
    kind = "for" if piece.level > 0 else "against"
    return f'<mark class="{kind} s{abs(piece.level)}">{clean(piece.text)}</mark>'


def _item(mistake: Mistake, quoted_html: str, *lines_html: str) -> str:
    verdict = (
        f"<b>{clean(mistake.predicted)}</b>, {mistake.probability:.1%} sure; in the data: <b>{clean(mistake.true)}</b>"
    )
    return f'<li><blockquote dir="auto">{quoted_html}</blockquote><p>{verdict}</p>{"".join(lines_html)}</li>'
