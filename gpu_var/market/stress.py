"""What [stress] asks of a book's factors and history, and what is wrong with it."""

import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gpu_var.market.factors import Factors
from gpu_var.market.moves import Checked, Meant, still_forwards
from gpu_var.tables.book import F8, Book, History
from gpu_var.tables.config import Config
from gpu_var.tables.config_models import StressScenario
from gpu_var.tables.files import CONFIG
from gpu_var.tables.findings import Findings, listed, shown
from gpu_var.tables.times import DAY_US

Rows = npt.NDArray[np.intp]

_EPOCH = datetime.date(1970, 1, 1)


class Stretch(NamedTuple):
    """The rows of history of a stress period: those of its returns, and the one before them."""

    first: int  # the level before the first return
    stop: int  # one beyond the last level

    @property
    def returns(self) -> int:
        return max(self.stop - self.first - 1, 0)


def stretch(history: History, period: tuple[datetime.date, datetime.date], as_of_us: int) -> Stretch:
    """The rows of the returns dated inside a period, both days included and none after `as_of`.

    A return is dated by its later level; the earlier one of the first return may stand before the period.
    """
    begin, end = ((day - _EPOCH).days * DAY_US for day in period)
    first = int(np.searchsorted(history.date, begin, side="left"))
    stop = int(np.searchsorted(history.date, min(end + DAY_US - 1, as_of_us), side="right"))
    before = max(first - 1, 0)
    return Stretch(before, max(stop, before))


def stretches(history: History, config: Config) -> list[Stretch]:
    """The rows of each stress period, in the order of the configuration."""
    periods = config.stress.period if config.stress else ()
    return [stretch(history, period, config.as_of_us) for period in periods]


def written_shocks(scenario: StressScenario, names: tuple[str, ...]) -> F8:
    """(n_factors,) what a scenario says of a factor: the last of its patterns that the name matches; NaN for none."""
    return Meant(names).last(scenario.shocks)


def check_scenarios(book: Book, config: Config, factors: Factors, findings: Findings) -> None:
    """Findings for shocks of unknown factors, and for falls of 100 % and more; notes on what will not move."""
    if config.stress is None:
        return
    meant = Meant(factors.names)
    checked = Checked(book, config, factors, meant, findings)
    place = f"{CONFIG}, key stress.scenario.shocks"
    for scenario in config.stress.scenario:
        of = f" of {shown(scenario.name)}"
        for pattern, shock in scenario.shocks.items():
            if checked.known(pattern, of, CONFIG, place):
                checked.falls(pattern, shock, of, CONFIG, place)
        still = still_forwards(~np.isnan(meant.last(scenario.shocks)), factors)
        if still:
            moved = f"stress scenario {shown(scenario.name)} moves a spot and not its forward: factors"
            findings.note(f"{moved}, so that forwards stay where they are: {listed(still)}")
    if checked.idle:
        findings.note(f"{CONFIG}: shocks of [stress] that concern nothing that is held: {listed(checked.idle)}")


def check_periods(book: Book, config: Config, findings: Findings) -> None:
    """Findings for periods with too few returns."""
    if config.stress is None:
        return
    h = config.holding_period_days
    for (begin, end), rows in zip(config.stress.period, stretches(book.history, config), strict=True):
        if rows.returns < h:
            count = f"{rows.returns:,} return{'' if rows.returns == 1 else 's'} up to as_of"
            text = f"{begin} to {end} has {count} in history; expected holding_period_days = {h} or more"
            findings.error(CONFIG, text, place=f"{CONFIG}, key stress.period")
