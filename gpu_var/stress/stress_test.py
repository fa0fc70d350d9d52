"""The stress test of a clearing house's book: losses, cover, waterfall, default fund, close-out, reverse stress."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from gpu_var import engine
from gpu_var.backend import Name
from gpu_var.margin.requirement import Stages
from gpu_var.market.factors import Factors
from gpu_var.scenarios.language import StressScenarios, scenario_rows
from gpu_var.stress import tables as rows_of
from gpu_var.stress.checks import check_rules
from gpu_var.stress.concentration import Concentration, concentration
from gpu_var.stress.cover import Cover, cover
from gpu_var.stress.fund import Fund, fund_of
from gpu_var.stress.house import House, house_of, notes_of
from gpu_var.stress.losses import Exposure, exposure
from gpu_var.stress.margins import Margins
from gpu_var.stress.reverse import ReverseStress, reverse_stress
from gpu_var.stress.reverse_map import ReverseMap, reverse_map
from gpu_var.stress.shortfall import Shortfall, shortfalls
from gpu_var.stress.waterfall import Waterfall, groups_of, waterfall
from gpu_var.stress.wind_down import WindDown, wind_down
from gpu_var.tables.book import Book
from gpu_var.tables.config import Config
from gpu_var.tables.config_stress_test import Resources, StressFile
from gpu_var.tables.findings import Findings, listed


@dataclass(frozen=True, eq=False)
class StressTest:
    """The result of a stress test, base currency, losses positive."""

    file: StressFile
    exposure: Exposure
    house: House
    rules: Resources  # the defaults, where the file has none
    shortfall: Shortfall
    cover: Cover
    waterfall: Waterfall | None  # of the defaulters of the file, else of the groups of Cover N; None without resources
    fund: Fund | None  # None without resources
    concentration: Concentration
    close_out: WindDown | None  # None without [close_out], or where nobody defaults
    reverse: ReverseStress | None  # None without [reverse], or where no covariance is known
    reverse_map: ReverseMap | None  # None without [reverse], or without a map
    tables: dict[str, pa.Table]  # by the names of their files: members, cover, …; all but losses, see `losses`
    notes: list[str]
    timings: dict[str, float]  # seconds by stage

    @property
    def scenarios(self) -> StressScenarios:
        """The scenarios, in the order of all tables."""
        return self.exposure.scenarios

    @property
    def failed(self) -> dict[int, str]:
        """Accounts that are left out, and why."""
        return self.exposure.failed

    def losses(self) -> Iterator[pa.Table]:
        """`losses.parquet`, piece by piece: all of it may not fit into memory at once."""
        return rows_of.losses(self.exposure, self.house)

    def waterfall_of(self, defaulters: Sequence[str]) -> Waterfall:
        """The waterfall of any members and groups, in every scenario.

        Raises:
            KeyError: a name that is neither a group nor a member.
        """
        return waterfall(self.shortfall, self.house, self.rules, self.house.members_of(list(defaulters))[:, None])


def stress_test(
    book: Book,
    config: Config,
    factors: Factors,
    file: StressFile,
    scenarios: StressScenarios,
    *,
    margin: Margins | None = None,
    backend: Name = "cpu",
    precision: str = "float64",
    threads: int | None = None,
    progress: engine.Progress = engine.nothing,
) -> StressTest:
    """Stress-test a book.

    Args:
        book: validated by `load`, as are config and factors.
        file: the rules of the test.
        scenarios: those of the file, over the same factors (`scenarios.language.stress_scenarios`).
        margin: of a finished run over the same book; computed by the models of the configuration unless given.
        backend, precision, threads, progress: as for `margin.requirement.requirement`.

    Raises:
        InputError: the rules ask for what the book does not have (`stress.checks.check_rules`).
    """
    findings = Findings()
    check_rules(book, file, findings, factors=factors, scenarios=scenarios.set.name)
    findings.raise_if_any()
    clock = Stages(progress)
    with clock("losses"):
        e = exposure(
            book,
            config,
            factors,
            scenarios,
            margin=margin,
            backend=backend,
            precision=precision,
            threads=threads,
            progress=progress,
        )
    with clock("resources"):
        rules = file.resources or Resources()
        house = house_of(book)
        before = e.before(rules.against)
        s = shortfalls(e.loss, before, house, rules, failed=e.broken)
        covered = cover(s.group, max(2, rules.cover))
        worst = groups_of(covered, house, rules.cover)
        by_cover = waterfall(s, house, rules, worst) if file.resources else None
        chosen = by_cover
        if file.resources and rules.defaulters:
            chosen = waterfall(s, house, rules, house.members_of(rules.defaulters)[:, None])
        fund = fund_of(s, covered, house, rules) if file.resources else None
        tail = concentration(e.loss, before, e.broken, covered, rules.cover)
    closed = reverse = broken = None
    if file.close_out is not None:
        with clock("close-out"):
            closed = wind_down(e, house, covered, rules.cover, file.close_out)
    if file.reverse is not None:
        with clock("reverse"):
            reverse = reverse_stress(e, house, rules, s, file.reverse, progress=progress)
        with clock("map"):
            broken = reverse_map(e, house, rules, file.reverse, progress=progress)
    with clock("tables"):
        names = scenarios.set.name
        made = {
            "members": rows_of.members(house, s, names, chosen),
            "cover": rows_of.cover_table(house, covered, names, rules.cover, by_cover),
            "waterfall": rows_of.waterfall_table(house, chosen, names),
            "concentration": rows_of.concentration_table(e, house, tail),
            "scenarios": scenario_rows(scenarios, factors),
        }
        if fund is not None:
            made["fund"] = rows_of.fund_table(house, fund)
        found = {"close_out": closed, "reverse": reverse, "reverse_map": broken}
        made |= {name: one.table() for name, one in found.items() if one is not None}
    return StressTest(
        file=file,
        exposure=e,
        house=house,
        rules=rules,
        shortfall=s,
        cover=covered,
        waterfall=chosen,
        fund=fund,
        concentration=tail,
        close_out=closed,
        reverse=reverse,
        reverse_map=broken,
        tables=made,
        notes=_notes(book, file, e, house, [*(fund.notes if fund else ()), *(closed.notes if closed else ())], reverse),
        timings=clock.seconds,
    )


def _notes(
    book: Book, file: StressFile, e: Exposure, house: House, more: list[str], reverse: ReverseStress | None
) -> list[str]:
    """What was assumed, and what was left out."""
    notes = [*e.scenarios.set.notes, *e.notes]
    if e.failed:
        names = [str(book.accounts.name[row]) for row in sorted(e.failed)]
        count = f"{len(names):,} account{'' if len(names) == 1 else 's'}"
        notes.append(f"{count} failed and left out of all sums, whose losses are not known: {listed(names)}")
    if file.resources is None:
        notes.append("no [resources]: Cover 1 and Cover 2 without a waterfall and a default fund")
    else:
        notes += notes_of(book, house)
    notes += more
    if file.reverse is not None and reverse is None:
        notes.append("no reverse stress: without [fhs] or [monte_carlo], or factors that vary, no covariance is known")
    return list(dict.fromkeys(notes))
