"""Everything that book and configuration must agree on before anything is computed."""

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from cpu_reference.types import OPTION
from gpu_var.market.charge_checks import check_options
from gpu_var.market.collateral import check_collateral
from gpu_var.market.factors import Factors, held, select_factors
from gpu_var.market.lookback import check_history, window
from gpu_var.market.patterns import matches, nearest_name
from gpu_var.market.scan_checks import check_scan
from gpu_var.market.stress import check_periods, check_scenarios
from gpu_var.market.unobserved import with_unobserved
from gpu_var.tables.book import Book, Nodes
from gpu_var.tables.config import Config
from gpu_var.tables.config_file import load_config
from gpu_var.tables.files import CONFIG
from gpu_var.tables.findings import Findings, listed, shown
from gpu_var.tables.load import draft_book
from gpu_var.tables.pledged import with_collateral
from gpu_var.tables.products import expired
from gpu_var.tables.sources import check_sources
from gpu_var.tables.where import Where

__all__ = ["check", "load", "window"]

MEMORY_SHARE = 0.8


def load(
    book: str | Path, config: str | Path | None = None, *, store: bool = False
) -> tuple[Book, Config, Factors, Findings]:
    """Read and check a book and its configuration (`config`, else margin.toml in the book's folder).

    With `store`, positions in Parquet or Arrow are kept in a file and never all in memory.

    What comes back has been found sound; the findings then hold notes alone. Raises `InputError` with everything that
    is wrong, in the configuration, in any table, and between them.
    """
    findings = Findings()
    folder = Path(book)
    parsed, refused = None, frozenset[str]()
    if config is not None or folder.is_dir():
        parsed, refused = load_config(Path(config) if config is not None else folder / CONFIG, findings)
    no_model = "" in refused
    draft = draft_book(
        folder,
        findings,
        needs_history=parsed is not None and parsed.needs_history and not no_model,
        sources=None if parsed is None else parsed.sources,
        unsure="sources" in refused,
        store=store,
    )
    factors = check(draft.book, parsed, findings, draft.broken | refused) if parsed else None
    findings.raise_if_any()
    if parsed is None or factors is None:
        raise AssertionError("without a finding there are a configuration and factors")
    return draft.book, parsed, factors, findings


def check(book: Book, config: Config, findings: Findings, broken: frozenset[str] = frozenset()) -> Factors | None:
    """All checks that depend on the configuration; what is wrong goes into `findings`.

    `broken` names the tables, columns of history and tables of the configuration that were refused: checks that need
    them are left out, lest one mistake be reported as several. Returns None where history was not to be relied on.
    """
    if "sources" not in broken:
        check_sources(config.sources, book, findings, broken)
    where = Where(book, findings)
    if "fx" not in broken:
        _currencies(book, config, where, broken)
    _expired(book, config, findings)
    if not broken & {"vols", "instruments", "underlyings"}:
        _unpriced_options(book, config, where)
    pledged = book if "underlyings" in broken else with_collateral(book, config)
    _liquidity(pledged, config, where, findings)
    if config.needs_history and "history" not in book.files:
        if "history" not in broken:
            findings.error("history", "missing; expected history.parquet, history.arrow or history.csv", kind="missing")
        return None
    if "underlyings" in broken:
        return None
    check_collateral(book, config, where, findings)
    observed = pledged if config.needs_history else with_unobserved(pledged, config)
    factors = select_factors(observed, config, findings, missing="history" not in broken, refused=broken)
    if config.options is not None:
        check_options(book, config.options, findings)
    if config.scan is not None and "scan" not in broken:
        check_scan(book, config.scan, findings)
    if "stress" not in broken:
        check_scenarios(book, config, factors, findings)
    _floors(config, factors, findings)
    if not config.needs_history:
        return factors
    if "dates" in broken:
        return None
    check_periods(book, config, findings)
    check_history(book, factors, config, where, findings, broken)
    if config.monte_carlo and "monte_carlo" not in broken:
        _memory(len(book.accounts.house), config.monte_carlo.paths, _runs(config), len(factors.names), findings)
    return factors


def _currencies(book: Book, config: Config, where: Where, broken: frozenset[str]) -> None:
    """Findings for currencies that are neither the base nor in fx, and for a base that is not worth 1."""
    names = book.currencies.name
    rule = f"expected the base ({config.base_currency}) or a row of fx"
    unknown = np.isnan(book.currencies.fx) & (np.array(names, np.object_) != config.base_currency)
    quoted = np.append(unknown, False)[book.underlyings.currency]
    rows = np.flatnonzero(quoted)
    quote = book.underlyings.currency
    where.report(
        "underlyings", "currency", "unknown", rows, lambda row: f"{shown(names[quote[row]])} is not known; {rule}"
    )
    curves = [names[c] for c in np.unique(book.rates.owner) if unknown[c]]
    rows = where.rows_with("rates", "currency", curves) if curves else rows[:0]
    where.report(
        "rates",
        "currency",
        "unknown",
        rows,
        lambda row: f"{shown(where.shown('rates', 'currency', row))} is not known; {rule}",
    )
    if config.base_currency in names:
        rate = book.currencies.fx[names.index(config.base_currency)]
        if not np.isnan(rate) and rate != 1.0:
            rows = where.rows_with("fx", "currency", [config.base_currency])
            text = f"{rate:g} is not 1; expected 1 for the base currency {config.base_currency}, or no row for it"
            where.report("fx", "rate", "base", rows, lambda _: text)
    if "underlyings" not in broken:
        known = [name for name, bad in zip(names, unknown, strict=True) if not bad] + [config.base_currency]
        assets = pc.unique(book.collateral.asset)
        sound = pc.is_in(assets, pa.concat_arrays([book.underlyings.name, pa.array(known, pa.string())]))
        strange = assets.filter(pc.invert(sound)).to_pylist()
        rows = where.rows_with("collateral", "asset", strange) if strange else rows[:0]
        where.report(
            "collateral",
            "asset",
            "unknown",
            rows,
            lambda row: (
                f"{shown(where.shown('collateral', 'asset', row))} is neither an underlying nor a currency; {rule}"
                ", or the name of a row of underlyings"
            ),
        )


def _expired(book: Book, config: Config, findings: Findings) -> None:
    """Notes on expired instruments, and on nodes that are dropped because they have expired."""
    gone = expired(book.instruments.expiry, config.as_of_us)
    if gone.any():
        names = book.instruments.name.filter(pa.array(gone)).to_pylist()
        findings.note(f"expired instruments, worth their intrinsic value at spot: {listed(filter(None, names))}")
    for table, nodes in (("forwards", book.forwards), ("vols", book.vols), ("rates", book.rates)):
        dropped = nodes.expiry <= config.as_of_us
        if dropped.any():
            count = int(dropped.sum())
            names = _owners(book, table, nodes, dropped)
            what = f"{count:,} node{'' if count == 1 else 's'} not after as_of dropped"
            findings.note(f"{book.label(table)}: {what}: {listed(names)}")


def _owners(book: Book, table: str, nodes: Nodes, rows: npt.NDArray[np.bool_]) -> list[str]:
    owners = np.unique(nodes.owner[rows])
    if table == "rates":
        return [book.currencies.name[owner] for owner in owners]
    return [str(name) for name in book.underlyings.name.take(pa.array(owners))]


def _unpriced_options(book: Book, config: Config, where: Where) -> None:
    """Findings for unexpired options that have neither a volatility of their own nor a surface."""
    surface = np.zeros(len(book.underlyings.spot) + 1, np.bool_)
    surface[book.vols.owner[book.vols.expiry > config.as_of_us]] = True
    traded = book.instruments
    live = (traded.kind == OPTION) & (traded.underlying >= 0) & (traded.expiry > config.as_of_us)
    rows = np.flatnonzero(live & np.isnan(traded.iv) & ~surface[traded.underlying])

    def text(row: int) -> str:
        owner = shown(book.underlyings.name[traded.underlying[row]].as_py())
        option = shown(traded.name[row].as_py())
        return f"option {option} has no iv, and vols has no unexpired row for {owner}; expected one of them"

    where.report("instruments", "iv", "surface", rows, text)


def _liquidity(book: Book, config: Config, where: Where, findings: Findings) -> None:
    """Notes on what is held without the data that its add-ons are made from."""
    needs, owners = held(book, config.as_of_us), book.underlyings
    for column, value, concerned, what in (
        ("adv", owners.adv, needs.underlying, "concentration by delta"),
        ("vega_adv", owners.vega_adv, needs.option, "concentration by vega"),
        ("half_spread", owners.half_spread, needs.underlying, "liquidity by delta"),
        ("vol_half_spread", owners.vol_half_spread, needs.option, "liquidity by vega"),
    ):
        without = concerned & np.isnan(value) & ~book.cash
        if without.any():
            names = listed(str(name) for name in owners.name.filter(pa.array(without)))
            findings.note(f"{where.label('underlyings')}, column {column}: none for {names}; its add-on, {what}, is 0")


def _floors(config: Config, factors: Factors, findings: Findings) -> None:
    """Notes on patterns of `volatility_floor` that concern no factor of the run."""
    said: list[str] = []
    for name, model in (("fhs", config.fhs), ("monte_carlo", config.monte_carlo)):
        for pattern in model.volatility_floor if model else ():
            if pattern in said or any(matches(pattern, factor) for factor in factors.names):
                continue
            said.append(pattern)
            near = nearest_name(pattern, factors.names)
            hint = f"; the nearest is {shown(near)}" if near else ""
            findings.note(f"{CONFIG}, key {name}.volatility_floor: {shown(pattern)} is no factor of the run{hint}")


def _runs(config: Config) -> int:
    """How often the paths are held: once, and again for each auxiliary set that a charge asks for."""
    model, table = config.monte_carlo, config.antiprocyclicality
    runs = 1 if model is None or model.dependence_addon is None else 3
    if table is not None and table.option != "stressed":
        runs += 1 + (table.previous_days if table.option == "countercyclical" else 0)
    return runs


def _memory(accounts: int, paths: int, runs: int, factors: int, findings: Findings) -> None:
    """A finding where the profits and losses of all accounts, and the shocks, cannot fit in memory."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    needed = 8 * paths * runs * (accounts + factors)
    if needed > MEMORY_SHARE * physical:
        most = int(MEMORY_SHARE * physical) // (8 * runs * (accounts + factors))
        text = (
            f"{paths:,} paths cannot fit in memory: {accounts:,} accounts and {factors:,} factors take "
            f"{needed / 2**30:,.1f} GiB of {physical / 2**30:,.1f}; expected at most {most:,} paths"
        )
        findings.error(CONFIG, text, place=f"{CONFIG}, key monte_carlo.paths")
