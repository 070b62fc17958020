"""Curves, bars and matrices as inline SVG; colours are the page's, so that they follow light and dark."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from maskel.pictures.markup import Markup, element, join, paragraph, svg, text

MOST_LINES = 6
"""Number of lines that the page's colours and dashes can distinguish."""

_WIDTH, _HEIGHT = 400.0, 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 10.0, 24.0, 38.0  # margins of a line chart
PLOT = (_LEFT, _WIDTH - _RIGHT, _TOP, _HEIGHT - _BOTTOM)
"""Left, right, top and bottom of a line chart's axes; x runs from the lowest to the highest, or 1 above the lowest."""
_SHADES = 16


@dataclass(frozen=True)
class Line:
    """One curve.

    Args:
        name: For the legend.
        x: Positions, increasing.
        y: Values; values that are not finite are left out.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]


def line_chart(title: str, x_label: str, lines: Sequence[Line]) -> Markup:
    """Draw curves over one horizontal axis; at most `MOST_LINES`.

    Args:
        title: Quantity of the vertical axis with its unit; written above the chart.
        x_label: Quantity of the horizontal axis.
        lines: The curves.
    """
    points = [[(x, y) for x, y in zip(line.x, line.y, strict=True) if math.isfinite(y)] for line in lines]
    finite = [point for line_points in points for point in line_points]
    if not finite:
        return paragraph(f"No finite value of {title} is recorded.", class_="note missing")
    xs, ys = zip(*finite, strict=True)
    x_ticks, y_ticks = _ticks(min(xs), max(xs), 6, whole=True), _ticks(min(ys), max(ys), 5)
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1)
    y_low, y_high = y_ticks[0], y_ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + (x - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
        return across, _HEIGHT - _BOTTOM - (y - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [text(0.0, 12.0, title), text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 5, x_label, "middle quiet")]
    for tick in y_ticks:
        _, y = place(x_low, tick)
        parts.append(element("path", d=f"M{_LEFT:g} {y:.1f}H{_WIDTH - _RIGHT:g}", class_="grid"))
        parts.append(text(_LEFT - 6, y + 4, f"{tick:g}", "end quiet"))
    for tick in x_ticks:
        x, y = place(tick, y_low)
        parts.append(element("path", d=f"M{x:.1f} {y:.1f}v4", class_="axis"))
        parts.append(text(x, y + 16, f"{tick:g}", "middle quiet"))
    for number, line_points in enumerate(points, 1):
        places = [place(x, y) for x, y in line_points]
        if len(places) > 1:
            drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(element("polyline", points=drawn, class_=f"line line-{number}"))
        if len(places) <= 10:
            circles = (element("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.2) for x, y in places)
            parts.append(element("g", *circles, class_=f"dot-{number}"))
    return svg(_WIDTH, _HEIGHT, f"{title} over {x_label}", *parts)


def legend(names: Sequence[str]) -> Markup:
    """Draw the names of a chart's lines, each with a piece of its line."""
    pieces = (
        join((element("svg", element("path", d="M2 8H28", class_=f"line line-{n}"), viewBox="0 0 30 16", class_="key"),
              f" {name}   "))
        for n, name in enumerate(names, 1)
    )  # fmt: skip
    return join(pieces)


def _ticks(low: float, high: float, most: int, whole: bool = False) -> list[float]:
    """Return round numbers from at or below ``low`` to at or above ``high``; with ``whole``, whole numbers between."""
    span = high / most - low / most or abs(high) / most or 1.0 / most  # divided first: the whole may not be finite
    raw = max(span, 1e-300)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
    if whole:
        step = max(1.0, step)
        return [step * n for n in range(math.ceil(low / step), math.floor(high / step) + 1)]
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [step * n for n in range(first, max(last, first + 1) + 1)]


@dataclass(frozen=True)
class Bar:
    """One accuracy.

    Args:
        name: Name of the evaluation.
        value: The accuracy as text.
        share: The accuracy in [0, 1].
        outlined: Whether the bar is hollow, as for a baseline.
    """

    name: str
    value: str
    share: float
    outlined: bool


def bar_chart(bars: Sequence[Bar], chance: float, largest: float) -> Markup:
    """Draw accuracies from 0 to 100 %, with a line at chance and a dashed one at the largest class's share.

    Names are text of the page, not of the picture, so that they wrap on a phone.
    """
    marks = [
        element("line", x1=f"{100 * at:.2f}%", x2=f"{100 * at:.2f}%", y1=0, y2=16, class_=name)
        for name, at in (("largest", largest), ("chance", chance))
    ]
    parts = []
    for bar in bars:
        style = "bar untrained" if bar.outlined else "bar"
        track = element("rect", width="100%", height=12, y=2, class_="track")
        filled = element("rect", width=f"{100 * bar.share:.2f}%", height=10, y=3, class_=style)
        picture = element("svg", track, filled, *marks, role="img", aria_label=f"{bar.name}: {bar.value}")
        parts += [element("span", bar.name), element("span", bar.value), picture]
    return element("div", *parts, scale(lambda at: f"{at} %"), class_="bars")


def scale(name: Callable[[int], str]) -> Markup:
    """Write below bars what 0, 25, 50, 75 and 100 % of their width stand for."""
    styles = {0: "quiet", 25: "quiet middle", 50: "quiet middle", 75: "quiet middle", 100: "quiet end"}
    marks = (element("text", name(at), x=f"{at}%", y=12, class_=style) for at, style in styles.items())
    return element("svg", *marks, class_="scale")


def cells(levels: Float[np.ndarray, "r c"], left: float, top: float, width: float, height: float) -> Markup:
    """Draw a grid of cells, darker for higher levels in [0, 1]; cells of level 0 or NaN stay empty."""
    shades = np.ceil(np.nan_to_num(levels, nan=0.0).clip(0, 1) * _SHADES).astype(int)
    paths = []
    for shade in range(1, _SHADES + 1):
        corners = np.argwhere(shades == shade)
        if len(corners):
            drawn = "".join(
                f"M{left + c * width:.1f} {top + r * height:.1f}h{width:g}v{height:g}h-{width:g}z" for r, c in corners
            )
            paths.append(element("path", d=drawn, fill_opacity=f"{shade / _SHADES:.2f}", class_="heat"))
    return join(paths)


def confusion_matrix(counts: Int64[np.ndarray, "k k"], classes: Sequence[str]) -> Markup:
    """Draw true classes by row and predicted classes by column; a cell is shaded by its share of the row.

    With up to 20 classes, names stand beside the rows and counts in the cells. With more classes there are only
    numbers; if there is no room for all, at every tenth row and column.
    """
    small = len(classes) <= 20
    cell = 34.0 if small else max(5.0, 720 / len(classes))
    names = [name if len(name) <= 34 else name[:33] + "…" for name in classes]
    left = 14.0 + (6.1 * max(map(len, names)) + 22 if small else 34)
    top, side = 40.0, cell * len(classes)
    sums = counts.sum(1)
    shares = counts / np.maximum(sums, 1)[:, None]
    parts = [
        element("rect", x=f"{left:.1f}", y=top, width=f"{side:.1f}", height=f"{side:.1f}", class_="frame"),
        cells(shares, left, top, cell, cell),
        text(left + side / 2, 12.0, "predicted class, by number", "middle quiet"),
    ]
    for number, name in enumerate(names, 1):
        if cell >= 14 or number % 10 == 0 or number == 1:
            at = (number - 0.5) * cell
            parts.append(text(left + at, top - 6, number, "middle"))
            parts.append(text(left - 6, top + at + 4, f"{name}  {number}" if small else number, "end"))
    if small:
        parts.append(text(left + side + 8, top - 6, "clips", "quiet"))
        parts += [text(left + side + 8, top + (r + 0.5) * cell + 4, total, "quiet") for r, total in enumerate(sums)]
        for row, column in np.argwhere(counts > 0):
            style = "middle on-heat" if shares[row, column] > 0.5 else "middle"
            parts.append(text(left + (column + 0.5) * cell, top + (row + 0.5) * cell + 4, counts[row, column], style))
    label = "confusion matrix: true class by row, predicted class by column"
    return svg(left + side + (44 if small else 8), top + side + 6, label, *parts, zoom=1.15)


def token_map(
    title: str,
    levels: Float[np.ndarray, "v t"],
    rows: Sequence[str],
    patch_frames: int,
    scale: str = "",
    lowest: str = "0",
) -> Markup:
    """Draw one value per token: joints by row, time by column.

    Args:
        title: Quantity of the cells.
        levels: Values in [0, 1]; cells of 0 and NaN stay empty.
        rows: Names of the joints (or groups of them).
        patch_frames: Frames of a token; for the ticks.
        scale: Meaning of a full cell.
        lowest: Meaning of an empty cell.
    """
    left, top, height = 78.0, 20.0, 10.0
    count = levels.shape[1]
    width = 210 / count
    grid = [f"M{left:g} {top + n * height:g}h210" for n in range(len(rows) + 1)]
    grid += [f"M{left + n * width:.1f} {top:g}v{len(rows) * height:g}" for n in range(count + 1)]
    parts = [
        text(0.0, 11.0, title),
        cells(levels, left, top, round(width, 2), height),
        element("path", d="".join(grid), class_="grid", stroke_width=0.4),
    ]
    parts += [text(left - 4, top + n * height + 8, name, "end small") for n, name in enumerate(rows)]
    bottom = top + len(rows) * height
    step = max(1, count // 5)
    for token in range(0, count, step):
        parts.append(text(left + (token + 0.5) * width, bottom + 11, token * patch_frames + 1, "middle small"))
    parts.append(text(left + 105, bottom + 23, "first frame of the token", "middle small quiet"))
    if scale:
        parts.append(text(left + 4, bottom + 36, lowest, "end small"))
        parts.append(cells(np.linspace(0.06, 1, 16)[None], left + 8, bottom + 29, 5.0, 8.0))
        parts.append(text(left + 92, bottom + 36, scale, "small"))
    return svg(left + 214, bottom + 40, title, *parts)
