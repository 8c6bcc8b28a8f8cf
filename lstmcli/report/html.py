"""Parts of the page: sections, figures, tables. Arguments named ``html`` are markup, all others are escaped here."""

from collections.abc import Sequence
from itertools import groupby

from lstmcli.report.charts import marker
from lstmcli.report.style import STYLE
from lstmcli.report.svg import clean, element

SWATCH = {"viewBox": "0 0 26 14", "class": "swatch", "aria-hidden": "true"}
WIDE = '<section class="wide"'


def section(anchor: str, title: str, *html: str, wide: bool = False) -> str:
    """Return a section with its heading."""
    heading = f'<h2 id="{clean(anchor)}">{clean(title)}</h2>'
    return f'{WIDE if wide else "<section"} aria-labelledby="{clean(anchor)}">{heading}{"".join(html)}</section>'


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph."""
    return f'<p class="{clean(kind)}">{clean(text)}</p>' if kind else f"<p>{clean(text)}</p>"


def figure(svg_html: str, caption: str, legend_html: str = "") -> str:
    """Return an image with its legend and caption."""
    return f"<figure>{legend_html}{svg_html}<figcaption>{clean(caption)}</figcaption></figure>"


def legend(names: Sequence[str], *, marks: bool = False) -> str:
    """Return the legend of lines of the classes c1, c2, ...; marks: of such marks."""
    items = []
    for index, name in enumerate(names, 1):
        line = element("line", {"x1": 1, "y1": 7, "x2": 25, "y2": 7, "class": f"line c{index}"})
        sign = marker(index, (13, 7)) if marks else line
        items.append(f"<li>{element('svg', SWATCH, sign)}{clean(name)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], *, texts: Sequence[int] = ()) -> str:
    """Return a table whose first column has the headings of the rows; the others are numbers but for ``texts``."""

    def kind(index: int) -> str:
        return "" if index == 0 else ' class="text"' if index in texts else ' class="number"'

    head = "".join(f'<th scope="col"{kind(index)}>{clean(name)}</th>' for index, name in enumerate(columns))
    lines = []
    for first, *others in rows:
        cells = "".join(f"<td{kind(index)}>{clean(cell)}</td>" for index, cell in enumerate(others, 1))
        lines.append(f'<tr><th scope="row">{clean(first)}</th>{cells}</tr>')
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody>"
    opening = f'<div class="scroll" role="region" tabindex="0" aria-label="{clean(caption)}">'
    return f"{opening}<table><caption>{clean(caption)}</caption>{body}</table></div>"


def details(summary: str, *html: str) -> str:
    """Return what is shown on demand."""
    return f"<details><summary>{clean(summary)}</summary>{''.join(html)}</details>"


def data(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the figures of an image as a table, shown on demand."""
    return details("The figures", table(caption, columns, rows))


def page(title: str, subtitle: str, sections: Sequence[tuple[str, str, str]]) -> str:
    """Return the whole page. sections: anchor, title and markup of each; neighbours that are not wide share columns."""
    links = "".join(f'<li><a href="#{clean(anchor)}">{clean(name)}</a></li>' for anchor, name, _ in sections)
    groups = (
        (wide, "\n".join(html for _, _, html in group))
        for wide, group in groupby(sections, lambda one: one[2].startswith(WIDE))
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{clean(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header><h1>{clean(title)}</h1><p class="lead">{clean(subtitle)}</p>'
        f'<nav aria-label="Contents"><ul>{links}</ul></nav></header>\n<main>\n'
        + "\n".join(html if wide else f'<div class="columns">\n{html}\n</div>' for wide, html in groups)
        + "\n</main>\n</body>\n</html>\n"
    )
