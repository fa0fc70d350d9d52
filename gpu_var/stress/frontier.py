"""A map of where the default resources break: two moves on a grid, and the lines at which layers are exhausted."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gpu_var.tables.book import F8, I8, Bool

ROUNDS = 5
"""Halvings of a grid's edge on which a line crosses: it is placed within 1/32 of the spacing."""

Gaps = Callable[[F8, F8], F8]
"""(n,) and (n,) coordinates to (n_layers, n) gaps, positive where a layer holds."""

_CORNERS = np.array([[0, 0], [0, 1], [1, 1], [1, 0]])  # (row, column) of a square's corners, going round


@dataclass(frozen=True)
class Frontier:
    """Rows are y, columns x."""

    x: F8  # (n_x,) shocks as written
    y: F8  # (n_y,)
    shortfall: F8  # (n_y, n_x) what the defaulting groups lose beyond margin, base currency
    reached: I8  # (n_y, n_x) how many layers are exhausted: the row of the layer that the loss ends in
    lines: tuple[tuple[int, F8], ...]  # (layer, (n, 2) points x, y in order), where that layer is exhausted


def frontier(gaps: Gaps, x: F8, y: F8) -> Frontier:
    """Evaluate a grid, and narrow where lines cross its edges.

    Args:
        gaps: of all layers, the first being the margin, whose gap is minus the shortfall where it is negative.
        x: (n_x,) ascending.
        y: (n_y,) ascending.
    """
    across, down = np.meshgrid(x, y)
    value = gaps(across.ravel(), down.ravel())
    value = value.reshape(len(value), len(y), len(x))
    broken = value <= 0.0
    edges = [_edges(layer, grid) for layer, grid in enumerate(broken)]
    crossing = _narrowed(gaps, x, y, np.concatenate(edges), broken)
    lines = []
    first = 0
    for layer, edge in enumerate(edges):
        points = crossing[first : first + len(edge)]
        first += len(edge)
        lines += [(layer, line) for line in _lines(edge, points, broken[layer])]
    return Frontier(x, y, np.maximum(-value[0], 0.0), broken.sum(axis=0), tuple(lines))


def _edges(layer: int, broken: Bool) -> I8:
    """(n, 5) layer, row and column of an edge's two ends, of those of which one end is broken."""
    found = []
    for step in ((0, 1), (1, 0)):
        begin = broken[: broken.shape[0] - step[0], : broken.shape[1] - step[1]]
        end = broken[step[0] :, step[1] :]
        row, column = np.nonzero(begin != end)
        found.append(np.stack([np.full(len(row), layer), row, column, row + step[0], column + step[1]], axis=1))
    return np.concatenate(found)


def _narrowed(gaps: Gaps, x: F8, y: F8, edges: I8, broken: Bool) -> F8:
    """(n, 2) points on edges, within 1/2^ROUNDS of where the layer breaks; all edges are halved in one call."""
    begin = np.stack([x[edges[:, 2]], y[edges[:, 1]]], axis=1)
    end = np.stack([x[edges[:, 4]], y[edges[:, 3]]], axis=1)
    if not len(edges):
        return begin
    at_begin = broken[edges[:, 0], edges[:, 1], edges[:, 2]]
    rows = np.arange(len(edges))
    for _ in range(ROUNDS):
        middle = 0.5 * (begin + end)
        same = (gaps(middle[:, 0], middle[:, 1])[edges[:, 0], rows] <= 0.0) == at_begin
        begin, end = np.where(same[:, None], middle, begin), np.where(same[:, None], end, middle)
    out: F8 = 0.5 * (begin + end)
    return out


def _lines(edges: I8, points: F8, broken: Bool) -> list[F8]:
    """Join the crossings square by square (marching squares) to lines as long as they can be."""
    place = {tuple(edge[1:]): row for row, edge in enumerate(edges.tolist())}
    neighbours: dict[int, list[int]] = {row: [] for row in range(len(edges))}
    squares = broken[:-1, :-1].astype(int) + broken[:-1, 1:] + broken[1:, :-1] + broken[1:, 1:]
    for row, column in np.argwhere((squares > 0) & (squares < 4)).tolist():
        corner = (_CORNERS + np.array([row, column])).tolist()
        sides = [tuple(sorted((tuple(corner[i]), tuple(corner[(i + 1) % 4])))) for i in range(4)]
        crossed = [place[(*a, *b)] for a, b in sides if (*a, *b) in place]
        # Four crossings, broken at two opposite corners: each of these is cut off by itself.
        turned = bool(broken[row, column]) if len(crossed) == 4 else False
        if turned:
            crossed = [crossed[3], *crossed[:3]]
        for one, other in zip(crossed[::2], crossed[1::2], strict=True):
            neighbours[one].append(other)
            neighbours[other].append(one)
    return [points[line] for line in _chains(neighbours)]


def _chains(neighbours: dict[int, list[int]]) -> list[list[int]]:
    """Paths through a graph of degree two at most: open ones from an end, closed ones back to where they begin."""
    left = {one: set(others) for one, others in neighbours.items()}
    out = []
    for begin in sorted(left, key=lambda one: (len(neighbours[one]) != 1, one)):
        at, path = begin, [begin]
        while left[at]:
            after = min(left[at])
            left[at].discard(after)
            left[after].discard(at)
            at = after
            path.append(at)
        if len(path) > 1:
            out.append(path)
    return out
