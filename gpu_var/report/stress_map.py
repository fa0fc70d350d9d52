"""The map of two moves as a picture: which layers are exhausted where, and the lines between."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from gpu_var.report.stress_source import F8, I8
from gpu_var.report.stress_words import move

WIDTH, HEIGHT = 720.0, 480.0
LEFT, RIGHT, TOP, BOTTOM = 72.0, 704.0, 12.0, 428.0
"""Of the fields."""
SEAM = 0.7
"""By which fields overlap, lest a screen show lines between them."""

TICKS = 6
ROWS = 13
"""Of the table that has the same as the picture: lines and columns at the most."""


@dataclass(frozen=True, eq=False)
class Map:
    """Rows are y, columns x, ascending; moves as they are written."""

    names: tuple[str, str]  # of the axes
    units: tuple[str, str]  # of the moves: "%", "bp" or "", see `stress_words.move`
    x: F8  # (n_x,)
    y: F8  # (n_y,)
    reached: I8  # (n_y, n_x) the layer that the loss ends in: how many are exhausted
    lines: Sequence[tuple[int, F8]]  # layer, (n, 2) points of the line on which it is exhausted
    bold: int  # the layer whose line stands out, −1 for none


@dataclass(frozen=True)
class _Scale:
    """From moves to the picture's units."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: F8 | float) -> F8:
        return np.asarray(self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin))

    @property
    def zero(self) -> float | None:
        """Where no move is; None where the picture does not show it."""
        return float(self(0.0)) if self.low < 0.0 < self.high else None


def picture(m: Map) -> Markup:
    """The map as SVG; every point of the grid is the middle of a field of its colour."""
    edges_x, edges_y = _edges(m.x), _edges(m.y)
    across = _Scale(float(edges_x[0]), float(edges_x[-1]), LEFT, RIGHT)
    down = _Scale(float(edges_y[0]), float(edges_y[-1]), BOTTOM, TOP)
    x, y = across(edges_x), down(edges_y)
    parts = [
        f'<rect class="m{shade}" x="{x[a]:.1f}" y="{y[row + 1]:.1f}" width="{x[b] - x[a] + SEAM:.1f}" '
        f'height="{y[row] - y[row + 1] + SEAM:.1f}"/>'
        for row, line in enumerate(m.reached)
        for shade, a, b in _runs(line)
    ]
    if across.zero is not None:
        parts.append(_line("zero", across.zero, TOP, across.zero, BOTTOM))
    if down.zero is not None:
        parts.append(_line("zero", LEFT, down.zero, RIGHT, down.zero))
    for layer, points in m.lines:
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across(points[:, 0]), down(points[:, 1]), strict=True))
        if layer == m.bold:
            parts.append(f'<polyline class="halo" points="{path}"/>')
        parts.append(f'<polyline class="{"line" if layer == m.bold else "thin"}" points="{path}"/>')
    parts += _axes(m, across, down)
    if across.zero is not None and down.zero is not None:
        parts.append(f'<circle class="here" cx="{across.zero:.1f}" cy="{down.zero:.1f}" r="4.5"/>')
        parts.append(_text("today", across.zero + 9.0, down.zero - 7.0, "start", "label"))
    return Markup(f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" aria-hidden="true">{"".join(parts)}</svg>')


def table(m: Map) -> tuple[list[str], list[tuple[str, list[int]]]]:
    """Some columns and lines of the grid: the moves across, and for each move down how many layers are exhausted."""
    columns, rows = (
        np.unique(np.linspace(0, len(axis) - 1, min(ROWS, len(axis))).round().astype(int)) for axis in (m.x, m.y)
    )
    across = [move(float(v), m.units[0]) for v in m.x[columns]]
    return across, [(move(float(m.y[r]), m.units[1]), m.reached[r, columns].tolist()) for r in rows[::-1]]


def _edges(axis: F8) -> F8:
    """(n + 1,) where the fields around (n,) points meet."""
    middle = 0.5 * (axis[1:] + axis[:-1])
    return np.concatenate([[2 * axis[0] - middle[0]], middle, [2 * axis[-1] - middle[-1]]])


def _runs(line: I8) -> list[tuple[int, int, int]]:
    """Stretches of one value: it, where it begins, and where the next begins."""
    begin = np.concatenate([[0], np.flatnonzero(np.diff(line)) + 1])
    end = np.append(begin[1:], len(line))
    return list(zip(line[begin].tolist(), begin.tolist(), end.tolist(), strict=True))


def _axes(m: Map, across: _Scale, down: _Scale) -> list[str]:
    parts = [_line("axis", LEFT, BOTTOM, RIGHT, BOTTOM), _line("axis", LEFT, TOP, LEFT, BOTTOM)]
    for value in ticks(float(m.x[0]), float(m.x[-1])):
        parts.append(_text(move(value, m.units[0]), float(across(value)), BOTTOM + 18.0, "middle"))
    for value in ticks(float(m.y[0]), float(m.y[-1])):
        parts.append(_text(move(value, m.units[1]), LEFT - 8.0, float(down(value)) + 4.0, "end"))
    parts.append(_text(m.names[0], 0.5 * (LEFT + RIGHT), HEIGHT - 10.0, "middle"))
    middle = 0.5 * (TOP + BOTTOM)
    turned = f' transform="rotate(-90 16 {middle:.1f})"'
    return [*parts, _text(m.names[1], 16.0, middle, "middle", more=turned)]


def _line(look: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{look}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(text: str, x: float, y: float, anchor: str, look: str = "", more: str = "") -> str:
    looks = f' class="{look}"' if look else ""
    return f'<text{looks} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(text)}</text>'


def ticks(low: float, high: float) -> list[float]:
    """Round values from low to high, about `TICKS` of them."""
    rough = (high - low) / TICKS
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough * (1 - 1e-12))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]
