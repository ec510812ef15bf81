"""matplotlib drawings as pages show them: SVG in the page's own colours, light and dark, and PNG on white."""

from __future__ import annotations

import io
import re
from typing import Any, Callable

import matplotlib
from matplotlib.figure import Figure

TEXT, GRID = "#010203", "#040506"
"""Stand for the page's colours until the SVG is written."""
_STYLE: Any = {
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9.5, "axes.titlesize": 10,
    "axes.titleweight": "bold", "axes.titlelocation": "left", "axes.axisbelow": True, "axes.grid": True,
    "axes.spines.top": False, "axes.spines.right": False, "grid.linewidth": 0.7, "legend.frameon": False,
}
_TEXTS = ("text.color", "axes.labelcolor", "xtick.color", "ytick.color")
_LINES = ("axes.edgecolor", "grid.color")
_CLEAR = {"axes.facecolor": "none", "figure.facecolor": "none"}


def in_page(make: Callable[[], Figure], salt: str) -> str:
    """SVG to stand in a page: it takes its text colour from there, and holds no address. Equal salts give equal ids."""
    own: Any = {**_STYLE, **_CLEAR, "svg.hashsalt": salt}
    own.update({**dict.fromkeys(_TEXTS, TEXT), **dict.fromkeys(_LINES, GRID)})
    written = io.StringIO()
    with matplotlib.rc_context(own):
        make().savefig(written, format="svg", metadata={"Date": None})
    svg = written.getvalue()
    svg = svg[svg.index("<svg") :].replace(TEXT, "currentColor").replace(GRID, "var(--grid)")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    return re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)


def on_white(make: Callable[[], Figure]) -> bytes:
    """A PNG that reads well anywhere."""
    drawn = io.BytesIO()
    with matplotlib.rc_context({**_STYLE, "grid.color": "#dfe3e9"}):
        make().savefig(drawn, format="png", dpi=130)
    return drawn.getvalue()
