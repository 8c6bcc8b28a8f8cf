"""Show what ``check`` found: a table on a terminal, JSON lines in a pipe."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Column, Table
from rich.text import Text

from lstmcli.cli.escapes import printable
from lstmcli.cli.figures import duration, with_counts
from lstmcli.cli.render import Screen
from lstmcli.errors import counted

if TYPE_CHECKING:
    from lstmcli.api.check import Fixed, Result
    from lstmcli.quality.findings import Finding

EXAMPLES = 3  # findings of each kind
BEST = 8  # of label errors
SHOWN = 60  # characters of a text


def show(screen: Screen, result: "Result") -> None:
    """Show the result: JSON; JSON lines of the findings in a pipe; or tables."""
    if screen.json:
        screen.print_json(result.plain())
        return
    audit = result.audit
    for remark in audit.remarks:
        screen.note(remark)
    if screen.out.is_terminal:
        _summary(screen, result)
    else:
        for finding in audit.findings:
            screen.print_json(finding.plain())
    if audit.curve is not None:
        screen.note(audit.curve.sentence())
    if result.report is not None:
        screen.note(f"all {counted(len(audit.findings), 'finding')}: {result.report}")
    elif len(audit.findings) > EXAMPLES and screen.out.is_terminal:
        screen.note("all findings: --report FILE; with --json on standard output")
    if result.fixed is not None:
        _fixed(screen, result.fixed)


def _summary(screen: Screen, result: "Result") -> None:
    from lstmcli.quality.findings import KINDS

    audit = result.audit
    for name, split in audit.splits.items():
        labels = printable(with_counts(split.labels))
        screen.out.print(f"{name}: {counted(split.examples, 'text')}, {labels}", soft_wrap=True)
    if audit.accuracy:
        accuracies = ", ".join(f"{name} {value:.1%}" for name, value in audit.accuracy.items())
        screen.out.print(f"accuracy of models fitted without the text: {accuracies}; {duration(audit.seconds)}")
    counts = audit.counts
    if not counts:
        screen.out.print("nothing was found")
        return
    for kind, count in counts.items():
        screen.out.print()
        screen.out.print(Text.assemble((f"{kind}: {count:,}", "bold"), f"  {KINDS[kind]}"))
        several = len(audit.splits) > 1
        shown = [one for one in audit.findings if one.kind == kind][: BEST if kind == "label error" else EXAMPLES]
        screen.out.print(_table(shown, several=several))


def _table(findings: "Sequence[Finding]", *, several: bool) -> Table:
    columns = [Column("row", justify="right"), Column("label"), Column("text"), Column("why", ratio=1)]
    table = Table(*columns, box=None, pad_edge=False, header_style="dim")
    for one in findings:
        row = one.file.rpartition("/")[2] if one.row is None else str(one.row)
        label = f"{one.label} → {one.suggested}" if one.suggested else one.label
        text = " ".join(one.text.split())
        shortened = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
        table.add_row(f"{one.split} {row}" if several else row, *map(printable, (label, shortened, one.reason)))
    return table


def _fixed(screen: Screen, fixed: "Fixed") -> None:
    left = []
    if fixed.unusable:
        left.append(f"{counted(fixed.unusable, 'row')} that cannot be used")
    if fixed.duplicates:
        left.append(counted(fixed.duplicates, "exact duplicate"))
    parts = [f"left out: {' and '.join(left) or 'nothing'}", f"labels changed: {fixed.labels:,}"]
    paths = ", ".join(map(str, fixed.paths))
    screen.note(f"{paths}: {counted(fixed.rows, 'row')}; {'; '.join(parts)}, the old ones in the last column")
