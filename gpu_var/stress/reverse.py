"""Reverse stress: the least implausible joint move of the factors that exhausts a layer of the default resources."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from gpu_var import engine
from gpu_var.margin.columns import numbers
from gpu_var.market.levels import factor_levels, shocked
from gpu_var.market.patterns import matches
from gpu_var.stress.breaking_point import Breaking, breaking_points
from gpu_var.stress.factor_law import FactorLaw, factor_law
from gpu_var.stress.house import House
from gpu_var.stress.limit_state import BREAKABLE, LimitState
from gpu_var.stress.losses import Exposure
from gpu_var.stress.plausibility import Plausibility, plausibility, sigmas
from gpu_var.stress.shortfall import Shortfall
from gpu_var.stress.starts import starts
from gpu_var.tables.book import F8, Bool
from gpu_var.tables.config_close_out import Reverse
from gpu_var.tables.config_stress_test import Resources


@dataclass(frozen=True)
class Exhausted:
    """What it takes to exhaust a layer; base currency."""

    layer: str
    breaking: Breaking
    shock: F8 | None  # (F,) as the engine takes it; None where nothing was found
    plausibility: Plausibility | None
    groups: tuple[str, ...]  # that default there
    shortfall: float  # what they lose beyond their margin there
    start: str  # the start that led there
    words: str


@dataclass(frozen=True)
class ReverseStress:
    """The breaking points of some layers, in the order of the waterfall."""

    exhausted: tuple[Exhausted, ...]
    law: FactorLaw
    factors: tuple[str, ...]
    level: F8  # (F,) today
    stressed: F8  # (n_layers, F) levels at the breaking points, NaN where none was found
    written: F8  # (n_layers, F) shocks as they are written: relative, or differences
    revaluations: int  # of the whole book, one a shock

    def table(self) -> pa.Table:
        """`reverse.parquet`: a row a layer and factor. A layer for which nothing was found has no rows.

        shock: relative (differences for rates and normal dynamics); sigmas: that of the engine, in the factor's own
        standard deviations over the holding period.
        """
        found = [(row, one) for row, one in enumerate(self.exhausted) if one.shock is not None]
        n, rows = len(self.factors), [row for row, _ in found]
        deviations = [sigmas(one.shock, self.law.deviation) for _, one in found if one.shock is not None]
        names = [one.layer for _, one in found]
        return pa.table(
            {
                "layer": pa.array(np.repeat(np.array(names, dtype=object), n), pa.string()),
                "distance": numbers(np.repeat([one.breaking.distance for _, one in found], n)),
                "factor": pa.array(list(self.factors) * len(found), pa.string()),
                "level": numbers(np.tile(self.level, len(found))),
                "stressed": numbers(self.stressed[rows].ravel()),
                "shock": numbers(self.written[rows].ravel()),
                "sigmas": numbers(np.ravel(deviations)),
            }
        )

    def summary(self) -> list[dict[str, Any]]:
        """Plain facts of each layer, for `stress.json` and a report; `revaluations` are those of all layers."""
        return [_facts(one) | {"revaluations": self.revaluations} for one in self.exhausted]


def _facts(one: Exhausted) -> dict[str, Any]:
    p = one.plausibility
    return {
        "layer": one.layer,
        "found": one.shock is not None,
        "distance": one.breaking.distance if one.shock is not None else None,
        "complete": one.breaking.complete,
        "defaulters": list(one.groups),
        "shortfall": one.shortfall,
        "start": one.start,
        "probability": None if p is None else p.tail,
        "probability_any_direction": None if p is None else p.beyond,
        "dof": None if p is None else p.dof,
        "probability_student_t": None if p is None else p.tail_t,
        "probability_any_direction_student_t": None if p is None else p.beyond_t,
        "words": one.words,
    }


def reverse_stress(
    exposure: Exposure,
    house: House,
    rules: Resources,
    lost: Shortfall,
    reverse: Reverse,
    *,
    progress: engine.Progress = engine.nothing,
) -> ReverseStress | None:
    """The nearest breaking point of each layer that is asked for.

    In any shock all accounts are revalued; spreads and volumes stay as today. The distance of a shock x is
    √(x'·Σ⁻¹·x), Σ the covariance of `factor_law` over the holding period.

    Args:
        lost: shortfalls in the scenarios of the exposure, the worst of which are starts.
        reverse: what is asked for.

    Returns:
        None where no covariance is known: neither [fhs] nor [monte_carlo], or no factor that may move.
    """
    m = exposure.measured
    law = factor_law(m.book, m.config, m.factors, m.backend, chosen(reverse.factors, m.factors.names))
    if law is None:
        return None
    state = LimitState(exposure, house, rules, law.deviation)
    scenarios = exposure.scenarios.set
    begin, words = starts(m, house, law, tuple(scenarios.name), scenarios.shock, lost, rules.cover)
    layers = [layer for layer in BREAKABLE if layer in reverse.layer]
    rows = [BREAKABLE.index(layer) for layer in layers]

    def gaps(points: F8) -> F8:
        progress("reverse", min(0.99, state.revaluations / reverse.evaluations))
        return state.all_gaps(law.shocks(points))[rows]

    def around(points: F8, steps: F8) -> F8:
        return state.around(law.shocks(points), law.shocks(steps))[rows]

    found = breaking_points(
        gaps,
        begin,
        limit=reverse.limit,
        most=reverse.evaluations,
        around=around,
        cost=state.revaluations_around,
    )
    days = m.config.holding_period_days
    out = [
        _exhausted(layer, breaking, words, law, state, house, days, reverse)
        for layer, breaking in zip(layers, found, strict=True)
    ]
    progress("reverse", 1.0)
    level = factor_levels(m.book, m.config, m.factors)
    shock = np.array([np.full(len(level), np.nan) if one.shock is None else one.shock for one in out])
    stressed = shocked(level, shock, m.factors.additive, m.config.returns)
    ones = np.where(m.factors.additive, 0.0, 1.0)
    written = shocked(ones, shock, m.factors.additive, m.config.returns) - ones
    return ReverseStress(tuple(out), law, m.factors.names, level, stressed, written, state.revaluations)


def chosen(patterns: tuple[str, ...], names: tuple[str, ...]) -> Bool:
    """(F,) whether a factor matches one of the patterns."""
    return np.array([any(matches(pattern, name) for pattern in patterns) for name in names], dtype=np.bool_)


def _exhausted(
    layer: str,
    found: Breaking,
    origin: list[str],
    law: FactorLaw,
    state: LimitState,
    house: House,
    days: int,
    reverse: Reverse,
) -> Exhausted:
    cut = "" if found.complete else f"; the search ended at {reverse.evaluations:,} evaluations, and may not be done"
    if found.point is None:
        words = f"{layer}: holds in every direction that was tried, up to {reverse.limit:g} standard deviations{cut}"
        return Exhausted(layer, found, None, None, (), 0.0, "", words)
    shock = law.shocks(found.point[None])
    lost, falls = state.defaults(shock)
    members = np.flatnonzero(falls.defaulting[:, 0] & (lost.member[:, 0] > 0.0))
    groups = tuple(house.group_name[g] for g in np.unique(house.group[members]).tolist())
    shortfall = float(lost.member[members, 0].sum())
    if not found.distance:
        return Exhausted(layer, found, shock[0], None, groups, shortfall, "", f"{layer}: exhausted without any move")
    odds = plausibility(found.distance, law.root.shape[1], law.dof, days)
    words = f"{layer}: exhausted by {odds.words}{cut}"
    return Exhausted(layer, found, shock[0], odds, groups, shortfall, origin[found.start], words)
