"""The report of an evaluation as a page: figures in, one HTML file with inline SVG out."""

PAGE = "report.html"
