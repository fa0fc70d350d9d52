"""The map of a stress test: two joint moves of factors against each other, and the layer that each pair ends in."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpu_var import engine
from gpu_var.margin.columns import numbers
from gpu_var.market.factors import Factors
from gpu_var.market.state import growth
from gpu_var.scenarios.stress import as_returns
from gpu_var.stress.factor_law import factor_law
from gpu_var.stress.frontier import Frontier, frontier
from gpu_var.stress.house import House
from gpu_var.stress.limit_state import BREAKABLE, LimitState
from gpu_var.stress.losses import Exposure
from gpu_var.stress.reverse import chosen
from gpu_var.stress.waterfall import LAYERS
from gpu_var.tables.book import F8, Bool
from gpu_var.tables.config_close_out import Reverse
from gpu_var.tables.config_stress_test import Resources
from gpu_var.tables.findings import escaped, shown

DEVIATIONS = 12.0
"""An axis reaches so many standard deviations of the most volatile of its factors, where its ends are not given."""

RANGE = (-0.6, 0.6)
"""The ends of an axis where no covariance is known."""


@dataclass(frozen=True)
class ReverseMap:
    """A frontier over two patterns of factors; shocks as written: relative, or differences."""

    patterns: tuple[str, str]
    frontier: Frontier
    revaluations: int

    def table(self) -> pa.Table:
        """`reverse_map.parquet`: the points of the grid, `line` null, then those of the lines in their order.

        x, y: the shocks; layer: where the loss of a grid's point ends, or which layer is exhausted on a line;
        shortfall: of the groups that default, beyond their margin, null on a line.
        """
        f = self.frontier
        across, down = np.meshgrid(f.x, f.y)
        n = f.reached.size
        of_line = [len(points) for _, points in f.lines]
        line = np.repeat(np.arange(len(of_line)), of_line)
        ends = np.concatenate([np.zeros((0, 2)), *(points for _, points in f.lines)])
        layers = [LAYERS[row] for row in f.reached.ravel().tolist()]
        layers += [BREAKABLE[layer] for layer, points in f.lines for _ in points]
        return pa.table(
            {
                "line": pa.concat_arrays([pa.nulls(n, pa.int64()), pa.array(line, pa.int64())]),
                "x": numbers(np.concatenate([across.ravel(), ends[:, 0]])),
                "y": numbers(np.concatenate([down.ravel(), ends[:, 1]])),
                "layer": pa.array(layers, pa.string()),
                "shortfall": numbers(np.concatenate([f.shortfall.ravel(), np.full(len(ends), np.nan)])),
            }
        )

    def summary(self) -> dict[str, Any]:
        """Plain facts, for `stress.json` and a report."""
        return {"x": self.patterns[0], "y": self.patterns[1], "revaluations": self.revaluations}


def reverse_map(
    exposure: Exposure,
    house: House,
    rules: Resources,
    reverse: Reverse,
    *,
    progress: engine.Progress = engine.nothing,
) -> ReverseMap | None:
    """Revalue every account on a grid of two moves, each of all factors that match its pattern.

    All other factors stay; one that matches both patterns moves by the second. Layers are exhausted as in
    `LimitState`.

    Returns:
        None without a map, or where one of its patterns matches no factor.
    """
    if len(reverse.map) != 2:
        return None
    m = exposure.measured
    names = m.factors.names
    first, second = chosen(reverse.map[:1], names), chosen(reverse.map[1:], names)
    first &= ~second
    if not first.any() or not second.any():
        return None
    state = LimitState(exposure, house, rules)
    ends = reverse.map_range or (_range(exposure, first), _range(exposure, second))
    x, y = (np.linspace(*pair, reverse.points) for pair in ends)
    total = len(x) * len(y) + 1

    def gaps(across: F8, down: F8) -> F8:
        written = np.where(first, across[:, None], np.where(second, down[:, None], 0.0))
        out = state.all_gaps(as_returns(written, m.factors.additive, m.config.returns))
        progress("map", min(1.0, state.revaluations / total))
        return out

    return ReverseMap((reverse.map[0], reverse.map[1]), frontier(gaps, x, y), state.revaluations)


def map_faults(reverse: Reverse, factors: Factors) -> list[tuple[str, str]]:
    """What is wrong with a map over some factors: (key, text) of each fault."""
    first, second = (chosen((pattern,), factors.names) for pattern in reverse.map)
    out = []
    if first.any() and not (first & ~second).any():
        text = f"all factors of {shown(reverse.map[0])} are also of {shown(reverse.map[1])}, by which they would move"
        out.append(("reverse.map", f"{text}; expected two patterns that differ, the wider one first"))
    for pattern, at, ends in zip(reverse.map, (first, second), reverse.map_range or (), strict=False):
        relative = np.flatnonzero(at & ~factors.additive)
        if len(relative) and ends[0] <= -1.0:
            name = escaped(factors.names[int(relative[0])])
            text = f"{ends[0]:g} of {shown(pattern)} leaves nothing of {name}; expected a relative change > -1"
            out.append(("reverse.map_range", text))
    return out


def _range(exposure: Exposure, at: Bool) -> tuple[float, float]:
    """The ends of an axis, as they are written."""
    m = exposure.measured
    law = factor_law(m.book, m.config, m.factors, m.backend, at)
    if law is None:
        return RANGE
    row = int(law.deviation.argmax())
    reach = np.array([-DEVIATIONS, DEVIATIONS]) * law.deviation[row]
    first, last = reach if m.factors.additive[row] else growth(reach, m.config.returns) - 1.0
    return float(first), float(last)
