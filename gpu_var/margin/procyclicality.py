"""Anti-procyclicality: what a margin becomes so that it does not rise most when markets are under most stress.

Options (a), (b) and (c) of Article 28(1) of Commission Delegated Regulation (EU) 153/2013, and a countercyclical one.
"""

import numpy as np

from cpu_reference import Tail
from gpu_var.margin.core import brings, core
from gpu_var.margin.measured import Measured
from gpu_var.scenarios.reference import LONG_RUN, PREVIOUS, shortfall
from gpu_var.tables.book import F8
from gpu_var.tables.config import Config, Core

METHODS = ("calculated", "buffer", "stressed", "floor", "countercyclical")
"""The margin as the models ask for it, then the options of [antiprocyclicality]."""


def buffer_left(ratio: F8, buffer: float, start: float, end: float) -> F8:
    """The share of the margin that still is asked for on top: `buffer` up to `start`, then linearly down to 0 at `end`.

    Args:
        ratio: (n,) calculated margin over its long-run level.
        buffer: 0.25 for Art. 28(1)(a).
        start, end: ratios, start < end.
    """
    return np.asarray(buffer * np.clip((end - ratio) / (end - start), 0.0, 1.0))


def with_buffer(calculated: F8, long_run: F8, buffer: float, start: float, end: float) -> F8:
    """(n,) calculated·(1 + buffer left): Art. 28(1)(a), the buffer exhausted where margins rise significantly.

    It never falls while the calculated margin rises, given end ≥ start/(1 − buffer), which the configuration ensures.

    Args:
        calculated, long_run: (n,) margins, not negative; where the long-run level is 0 the buffer is exhausted.
    """
    risky = long_run > 0.0
    ratio = np.divide(calculated, long_run, out=np.full_like(calculated, np.inf), where=risky)
    return np.asarray(calculated * (1.0 + buffer_left(ratio, buffer, start, end)))


def with_stress(calculated: F8, stressed: F8, weight: float) -> F8:
    """(n,) (1 − weight)·calculated + weight·stressed: Art. 28(1)(b), weight at least 0.25."""
    return np.asarray((1.0 - weight) * calculated + weight * stressed)


def with_floor(calculated: F8, long_run: F8) -> F8:
    """(n,) the larger: Art. 28(1)(c), never under the margin from the volatility of a ten-year look-back."""
    return np.asarray(np.maximum(calculated, long_run))


def countercyclical(calculated: F8, floor: F8, previous: F8, max_rise: float) -> F8:
    """(n,) the calculated margin, at most `previous`·(1 + max_rise), and never under the floor, which comes first.

    So it can be less than what the model asks for, by design: a rise is spread over days.

    Args:
        floor: (n,) through the cycle.
        previous: (n,) the margin before, itself countercyclical.
        max_rise: of the margin since then, e.g. 0.05.
    """
    return np.asarray(np.maximum(floor, np.minimum(calculated, previous * (1.0 + max_rise))))


def core_of(tails: dict[str, Tail], scan: F8 | None, config: Config, suffix: str = "") -> F8:
    """(n,) the core rule, floored at 0, with the models' auxiliary scenarios of that suffix in place of their own."""
    chosen = {m: tails.get(f"{m}.{suffix}", tail) for m, tail in tails.items() if "." not in m}
    return np.asarray(np.maximum(core(chosen, scan, config).amount, 0.0))


def core_without_stress(tails: dict[str, Tail], scan: F8 | None, config: Config) -> F8:
    """(n,) the largest of what the other models bring, floored at 0."""
    rest = {m: tail for m, tail in tails.items() if m != "stress" and "." not in m}
    return np.asarray(np.maximum(core(rest, scan, config.model_copy(update={"core": Core()})).amount, 0.0))


def stress_of(tails: dict[str, Tail], config: Config) -> F8:
    """(n,) what [stress] brings, floored at 0."""
    return np.asarray(np.maximum(brings("stress", tails["stress"], config), 0.0))


def charge(m: Measured) -> F8 | None:
    """(n_accounts,) adjusted margin − max(0, core), base currency; None without [antiprocyclicality].

    It is negative in two cases alone: where `countercyclical` caps a rise, and where `stressed`, which puts a weight
    on [stress] in place of the larger of the two, comes out below core.
    """
    table = m.config.antiprocyclicality
    if table is None:
        return None
    scan = None if m.scan is None else m.scan.amount
    calculated = core_of(m.tails, scan, m.config)
    if table.option == "stressed":
        rest = core_without_stress(m.tails, scan, m.config)
        return with_stress(rest, stress_of(m.tails, m.config), table.stressed_weight) - calculated
    _note(m, shortfall(m.book, m.config, m.factors, table.lookback))
    long_run = core_of(m.tails, scan, m.config, LONG_RUN)
    if table.option == "floor":
        return with_floor(calculated, long_run) - calculated
    if table.option == "buffer":
        adjusted = with_buffer(calculated, long_run, table.buffer, table.run_down_start, table.run_down_end)
        return adjusted - calculated
    floor = table.floor_share * long_run
    days = [d for d in range(table.previous_days, 0, -1) if any(name.endswith(f".{PREVIOUS}{d}") for name in m.tails)]
    if len(days) < table.previous_days:
        _note(
            m,
            f"antiprocyclicality: history reaches back for {len(days)} of previous_days = {table.previous_days}; "
            + ("the cap on the rise starts there" if days else "no cap on the rise is applied"),
        )
    if not days:
        return with_floor(calculated, floor) - calculated
    earlier = [core_of(m.tails, scan, m.config, f"{PREVIOUS}{d}") for d in days]
    adjusted = with_floor(earlier[0], floor)
    for margin in (*earlier[1:], calculated):
        adjusted = countercyclical(margin, floor, adjusted, table.max_daily_rise)
    held_back = int(np.count_nonzero(adjusted < calculated))
    if held_back:
        _note(m, f"antiprocyclicality: the cap on the daily rise holds {held_back:,} margins under the calculated ones")
    return adjusted - calculated


def _note(m: Measured, text: str | None) -> None:
    if text is not None and text not in m.notes:
        m.notes.append(text)
