"""The report of an evaluation as a page: figures in, one HTML file with inline SVG out."""

from pathlib import Path

from lstmcli.storage import atomic

PAGE = "report.html"


def claim(folder: Path) -> None:
    """Check that a report can be written there, and change nothing. Raises RuntimeSetupError where it cannot."""
    for name in ("report.json", PAGE):
        atomic.claim_file(folder / name)
