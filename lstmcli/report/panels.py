"""The panels of the page that any model can have: figures, learning curves, parts of the data, the model card."""

from collections.abc import Mapping, Sequence
from typing import Any

from lstmcli.errors import counted
from lstmcli.report import charts, history, html
from lstmcli.report.charts import Axis, Estimate, Format, Series
from lstmcli.report.names import DIGITS, MEANINGS, headed, name_of, shown
from lstmcli.report.slices import Slices
from lstmcli.report.svg import clean
from lstmcli.report.through_time import ThroughTime

Panel = tuple[str, str, str]  # anchor, title, markup
Figure = Mapping[str, float]


def interval(name: str, figure: Figure) -> str:
    """Format the interval of a figure."""
    return f"{shown(name, figure['low'])} to {shown(name, figure['high'])}"


def headline(report: Mapping[str, Any], primary: str, below: Sequence[str]) -> Panel:
    """Show the primary figure beside those of the baselines, and all figures in a table."""
    metrics, baselines = report["metrics"], report["baselines"]
    main = metrics[primary]
    beside = {name: known[primary] for name, known in baselines.items() if primary in known}
    rows = [Estimate(name, one["value"], one["low"], one["high"], note=shown(primary, one["value"]))
            for name, one in {"this model": main, **beside}.items()]  # fmt: skip
    parts = ['<div class="pair"><div>', f'<p class="big">{clean(shown(primary, main["value"]))}</p>',
             html.paragraph(f"{_first(name_of(primary))}, 95 % interval {interval(primary, main)}")]  # fmt: skip
    worse = [f"the {name} baseline" for name in below]
    if worse:
        parts.append(html.paragraph(f"The model is not better than {' and '.join(worse)} here.", "note"))
    parts.append("</div>")
    axis = _axis(primary, rows)
    described = "; ".join(f"{row.name} {shown(primary, row.value)}" for row in rows)
    chart = charts.estimates(rows, axis, f"{name_of(primary)} with 95 % intervals: {described}", first=True)
    parts.append(html.figure(chart, f"{_first(name_of(primary))} with 95 % intervals, beside the baselines."))
    parts.append("</div>")
    columns = ["metric", "this model", "95 % interval", *baselines]
    table = [
        [name_of(name), shown(name, figure["value"]), interval(name, figure),
         *(shown(name, known[name]["value"]) if name in known else "" for known in baselines.values()),
         MEANINGS.get(name, "")]
        for name, figure in metrics.items()
    ]  # fmt: skip
    parts.append(html.table("All figures", [*columns, "meaning"], table, texts=(len(columns),)))
    return "figures", "Figures", html.section("figures", "Figures", *parts, wide=True)


def curves(lines: Sequence[history.Line]) -> Panel | None:
    """Show loss and primary metric over the epochs of training."""
    if len(lines) < 2:
        return None
    name, best = headed(lines[0]), history.best(list(lines))
    epochs = [line["epoch"] for line in lines]
    across = Axis(min(epochs), max(epochs), "epoch", lambda value: f"{value:g}")
    training = [(line["epoch"], line["train_loss"]) for line in lines if line.get("train_loss") is not None]
    held_out = [(line["epoch"], line["loss"]) for line in lines]
    losses = [Series("validation loss", held_out, mark=best["epoch"]), Series("training loss", training)]
    top = max(value for one in losses for _, value in one.points)
    values = [line[name] for line in lines]
    low, high = (0.0, max(values)) if name in DIGITS else limits(values)
    scored = [Series(name_of(name), list(zip(epochs, values, strict=True)), mark=best["epoch"])]
    loss_chart = charts.lines(losses, across, Axis(0, top, "loss", lambda value: f"{value:.3g}"),
                              f"Loss over {counted(len(lines), 'epoch')}", height=230)  # fmt: skip
    score_chart = charts.lines(scored, across, Axis(low, high, name_of(name), ticks(name)),
                               f"{name_of(name)} over {counted(len(lines), 'epoch')}, best {shown(name, best[name])}",
                               height=230)  # fmt: skip
    rows = [[f"{line['epoch']}", "" if line.get("train_loss") is None else f"{line['train_loss']:.3f}",
             f"{line['loss']:.3f}", shown(name, line[name])] for line in lines]  # fmt: skip
    body = [
        html.figure(loss_chart, "", html.legend([one.name for one in losses])),
        html.figure(score_chart, f"{name_of(name)} on the validation part. The ring marks the epoch whose model was "
                    f"kept: {best['epoch']}."),
        html.data("Each epoch", ["epoch", "training loss", "validation loss", name_of(name)], rows),
    ]  # fmt: skip
    return "training", "Training", html.section("training", "Learning curves of the training", *body)


def parts(found: Sequence[Slices], primary: str, overall: float) -> Panel | None:
    """Show the primary figure of parts of the data."""
    if not found:
        return None
    everything = [row for one in found for row in one.parts]
    axis = _axis(primary, everything)
    text = (
        f"{_first(name_of(primary))} of parts of the data, with 95 % intervals and the number of texts. The dotted "
        f"line is the figure of all texts, {shown(primary, overall)}."
    )
    body = [html.paragraph(text)]
    for one in found:
        described = "; ".join(f"{row.name} {shown(primary, row.value)}" for row in one.parts)
        chart = charts.estimates(one.parts, axis, f"{name_of(primary)} by {one.kind}: {described}", reference=overall)
        more = f"The {len(one.parts)} largest; {one.left_out} more are not shown." if one.left_out else ""
        rows = [[row.name, f"{row.count:,}", shown(primary, row.value),
                 f"{shown(primary, row.low)} to {shown(primary, row.high)}"] for row in one.parts]  # fmt: skip
        body += [
            f"<h3>By {clean(one.kind)}</h3>",
            html.figure(chart, more),
            html.data(f"By {one.kind}", [one.kind, "texts", name_of(primary), "95 % interval"], rows),
        ]
    return "parts", "Parts of the data", html.section("parts", "Parts of the data", *body)


def through_time(found: ThroughTime | None) -> Panel | None:
    """Show how far the gradient of the loss reaches back through time."""
    if found is None:
        return None
    curves = {
        "this model, through its last state": found.trained,
        "untrained LSTM, forget bias 0": found.forget_0,
        "untrained tanh RNN": found.rnn,
        "this model, whole loss": found.whole,
    }
    least = max(min(map(min, curves.values())), 1e-12)
    most = max(map(max, curves.values()))
    reach = len(found.trained) - 1
    across = Axis(0, reach, "tokens before the end of the text", lambda value: f"{value:g}")
    up = Axis(least, most * 1.2, "gradient norm, relative", charts.power, logarithmic=True)
    series = [Series(name, list(enumerate(values))) for name, values in curves.items()]
    described = "; ".join(f"{name}: {values[-1]:.2g}" for name, values in curves.items())
    chart = charts.lines(series, across, up, f"Gradient norms {counted(reach, 'token')} before the end. {described}")
    caption = (
        f"The norm of the gradient of the loss with respect to the hidden state, up to {reach} tokens before the end "
        "of a text, relative to that at the end; of the whole loss, relative to its mean. Geometric means over "
        f"{found.texts} of the scored texts; {found.hidden} cells of the forward direction. All networks read the same "
        "vectors and get the same gradient at the last state. Untrained: the LSTM as this program starts one, but with "
        "forget bias 0; the RNN as PyTorch starts one."
    )
    text = (
        "A gradient that goes back through time is multiplied by the derivative of the network at every token. In the "
        "RNN it vanishes after a few words, so early words cannot be learned from. The cell of an LSTM lets it pass "
        "where the forget gate is open. Pooling over time, or a tag at every word, also gives each state a direct path "
        "to the loss: the whole loss."
    )
    rows = [[f"{at}", *(f"{values[at]:.2g}" for values in curves.values())]
            for at in sorted({0, 1, 2, 5, 10, 20, 30, reach}) if at <= reach]  # fmt: skip
    body = [
        html.paragraph(text),
        html.figure(chart, caption, html.legend(list(curves))),
        html.data("Relative gradient norms", ["tokens before the end", *curves], rows),
    ]
    title = "Backpropagation through time"
    return "gradients", title, html.section("gradients", title, *body)


def card(rows: Sequence[tuple[str, str]], recipe: str) -> Panel:
    """Show the model card."""
    listed = "".join(f"<dt>{clean(name)}</dt><dd>{clean(value)}</dd>" for name, value in rows)
    body = f"<dl>{listed}</dl>", html.details("The whole recipe", f'<pre tabindex="0">{clean(recipe)}</pre>')
    return "model", "Model card", html.section("model", "Model card", *body, wide=True)


def _first(text: str) -> str:
    """Begin a sentence with the text."""
    return f"{text[:1].upper()}{text[1:]}"


def ticks(name: str) -> Format:
    """Return the format of the ticks of a figure's axis."""
    return lambda value: shown(name, value) if name in DIGITS else f"{100 * value:.3g}%"


def limits(values: Sequence[float]) -> tuple[float, float]:
    """Return limits of an axis of fractions, in steps of 5 %."""
    low, high = min(values), max(values)
    return max(0.0, (low * 20 // 1) / 20 - (0.05 if low * 20 % 1 < 0.2 else 0)), min(1.0, -(-high * 20 // 1) / 20)


def _axis(name: str, rows: Sequence[Estimate]) -> Axis:
    """Return the axis of a figure and its intervals."""
    if name in DIGITS:
        return Axis(0, max(row.high for row in rows), name_of(name), ticks(name))
    low, _ = limits([row.low for row in rows])
    _, high = limits([row.high for row in rows])
    return Axis(low, high, name_of(name), ticks(name))
