"""Take the page of a report apart, and check what holds for every page."""

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

from lstmcli.report import PAGE
from lstmcli.report.names import name_of, shown


class Page(HTMLParser):
    """The page taken apart: elements with their attributes, and the cells of each table by its caption."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.text = ""
        self._caption = ""
        self.feed(html)
        assert self.open == [], "elements are left open"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag != "meta":
            self.open.append(tag)
        if tag == "caption":
            self._caption = ""
        elif tag == "tr":
            self.tables.setdefault(self._caption, []).append([])
        elif tag in ("td", "th"):
            self.tables[self._caption][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "caption" in self.open:
            self._caption += data
        elif {"td", "th"} & set(self.open):
            self.tables[self._caption][-1][-1] += data


def checked(folder: Path) -> Page:
    """The page in the folder: it refers to nothing outside, runs nothing, and its images are XML."""
    html = (folder / PAGE).read_text("utf-8")
    page = Page(html)
    assert {tag for tag, _ in page.elements} & {"script", "link", "img", "iframe", "object", "base", "form"} == set()
    anchors = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for tag, attributes in page.elements:
        assert not {
            name for name in attributes if name.startswith("on") or name in ("src", "style", "srcset", "xlink:href")
        }
        assert ("href" in attributes) <= (tag == "a" and attributes["href"].lstrip("#") in anchors)
        if tag == "svg":
            assert attributes.get("aria-label") or attributes.get("aria-hidden") == "true"
    (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
    assert not re.search(r"url\(|@import|https?://|expression", style)
    images = re.findall(r"<svg .*?</svg>", html, re.DOTALL)
    assert images
    for image in images:
        ElementTree.fromstring(image)
    headings = [tag for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    return page


def check_figures(page: Page, report: dict[str, dict[str, dict[str, float]]]) -> None:
    """The table of all figures has those of report.json."""
    head, *rows = page.tables["All figures"]
    assert head[3:-1] == list(report["baselines"])
    for (name, figure), row in zip(report["metrics"].items(), rows, strict=True):
        beside = [shown(name, known[name]["value"]) if name in known else "" for known in report["baselines"].values()]
        interval = f"{shown(name, figure['low'])} to {shown(name, figure['high'])}"
        assert row[:-1] == [name_of(name), shown(name, figure["value"]), interval, *beside]
