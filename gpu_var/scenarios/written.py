"""What scenarios.toml says of a book's factors: moves, proxies and betas by row; findings for what it cannot mean."""

from collections.abc import Iterator, Mapping

import numpy as np

from gpu_var.market.factors import Factors
from gpu_var.market.moves import Checked, Meant
from gpu_var.market.patterns import is_name, matches, nearest_name
from gpu_var.scenarios.library import Library
from gpu_var.tables.book import F8, Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_stress_test import NONE, Proxy, Shock, StressFile, WrittenScenario
from gpu_var.tables.findings import Findings, escaped, shown


class Written:
    """A file of scenarios read against a run's factors."""

    def __init__(
        self, file: StressFile, book: Book, config: Config, factors: Factors, findings: Findings, name: str
    ) -> None:
        self.file, self.factors, self.findings, self.name = file, factors, findings, name
        self.meant = Meant(factors.names)
        self.checked = Checked(book, config, factors, self.meant, findings)

    def error(self, key: str, text: str) -> None:
        """A finding at a key of the file."""
        self.findings.error(self.name, text, place=f"{self.name}, key {key}")

    def steps(self, scenario: WrittenScenario) -> Iterator[F8]:
        """(F,) the move of each step on top of those before it: the logarithm of growth, or a difference; NaN where
        no pattern of them means the factor.
        """
        additive = self.factors.additive
        total = np.full(len(additive), np.nan)
        for shocks in scenario.steps:
            said = self.meant.last(self._amounts(shocks, scenario))
            # Of a fall of all there is, which has no logarithm, a finding has been made.
            growth = np.log1p(np.where(additive | np.isnan(said) | (said <= -1.0), 0.0, said))
            step = np.where(additive | np.isnan(said), said, growth)
            total = np.where(np.isnan(step), total, np.where(np.isnan(total), 0.0, total) + step)
            yield total

    def _amounts(self, shocks: Mapping[str, Shock], scenario: WrittenScenario) -> dict[str, float]:
        """The amounts of the patterns that mean a factor."""
        key = "scenario.step.shocks" if scenario.step else "scenario.shocks"
        place, of = f"{self.name}, key {key}", f" of {shown(scenario.name)}"
        out = {}
        for pattern, shock in shocks.items():
            if not self.checked.known(pattern, of, self.name, place):
                continue
            out[pattern] = shock.amount
            additive = self.factors.additive
            wrong = np.flatnonzero(self.meant.at(pattern) & (additive if shock.unit == "%" else ~additive))
            if not shock.unit or not len(wrong):
                self.checked.falls(pattern, shock.amount, of, self.name, place)
            elif shock.unit == "%":
                rule = "takes a difference; expected a number, or text with bp"
                self.error(key, f"{shown(pattern)}{of}: {escaped(self.factors.names[wrong[0]])} {rule}")
            else:
                rule = "takes a relative change; expected a number, or text with %"
                self.error(key, f"{shown(pattern)}{of}: {escaped(self.factors.names[wrong[0]])} {rule}")
        return out

    def chosen(self, shipped: Library) -> Library:
        """The scenarios of the library that the file's patterns mean, in the library's order."""
        rows: set[int] = set()
        for pattern in self.file.chosen:
            found = [i for i, name in enumerate(shipped.name) if matches(pattern, name) or pattern == shipped.of[i]]
            rows.update(found)
            if not found:
                near = nearest_name(pattern, shipped.name)
                text = f"{shown(pattern)} is no scenario of the library; the nearest is {shown(near)}"
                self.error("library", f"{text}; expected a name that --list shows, or a pattern of them")
        return shipped.take(sorted(rows))

    def proxies(self, shipped: Library) -> dict[int, Proxy]:
        """The file's own proxies by row of the factor, that of the last pattern that means it."""
        out: dict[int, Proxy] = {}
        for pattern, proxy in self.file.proxies.items():
            if proxy.factor not in (*shipped.proxies, NONE):
                near = nearest_name(proxy.factor, [*shipped.proxies, NONE])
                text = f"{shown(proxy.factor)} of {shown(pattern)} is no factor of the library; the nearest is"
                self.error("proxies", f"{text} {shown(near)}; known are {', '.join(shipped.proxies)}")
                continue
            if not self.checked.known(pattern, "", self.name, f"{self.name}, key proxies"):
                continue
            rows = np.flatnonzero(self.meant.at(pattern)).tolist()
            differs = proxy.factor != NONE and bool(shipped.difference[shipped.column(proxy.factor)])
            wrong = [f for f in rows if proxy.factor != NONE and (self.factors.kind[f] == "rate") != differs]
            if wrong:
                expected = "a factor that is no yield" if differs else "a yield"
                text = (
                    f"{shown(pattern)}: {shown(proxy.factor)} cannot stand for {escaped(self.factors.names[wrong[0]])}"
                )
                self.error("proxies", f"{text}; expected {expected}")
            out |= dict.fromkeys(rows, proxy)
        return out

    def betas(self) -> dict[int, dict[int, float]]:
        """The betas by row of a factor and of its drivers, those of the last pattern that means the factor."""
        out: dict[int, dict[int, float]] = {}
        row_of = {name: row for row, name in enumerate(self.factors.names)}
        for pattern, drivers in self.file.betas.items():
            known = {row_of[driver]: beta for driver, beta in drivers.items() if driver in row_of}
            for driver in (driver for driver in drivers if driver not in row_of):
                if is_name(driver):
                    self.checked.known(driver, f" of {shown(pattern)}", self.name, f"{self.name}, key betas")
                else:
                    text = f"{shown(driver)} of {shown(pattern)} is a pattern; expected the name of one factor"
                    self.error("betas", text)
            if self.checked.known(pattern, "", self.name, f"{self.name}, key betas"):
                for row in np.flatnonzero(self.meant.at(pattern)).tolist():
                    out[row] = {driver: beta for driver, beta in known.items() if driver != row}
        return {row: drivers for row, drivers in out.items() if drivers}
