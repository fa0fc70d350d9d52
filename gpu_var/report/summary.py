"""What the accounts' margins come to: in all, by component, member, model and scenario; and what failed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gpu_var.margin.diagnostics import CLIENT, HOUSE
from gpu_var.report.figures import MODELS, by_margin
from gpu_var.report.grid import Column, Grid
from gpu_var.report.movement import Movement
from gpu_var.report.source import BASIC, Source, numbers, texts

SCENARIOS = 500
"""Binding scenarios in the table: those behind the most margin."""

MOVERS = 500
"""Accounts in the table of changes: the largest, up or down."""

FAILURES = 2000

ROWS = 20_000
"""Accounts in the table: the largest margins, and every account that failed."""

F8 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Component:
    """A component of the margin over all accounts; base currency."""

    name: str
    total: float
    share: float  # of the total margin
    accounts: int  # that pay some
    then: float | None


def words(column: str) -> str:
    """A column as it is read: `gamma charge`, `mc es, standard error`."""
    return column.removesuffix("_se").replace("_", " ") + (", standard error" if column.endswith("_se") else "")


def components(source: Source, moved: Movement | None) -> list[Component]:
    """What the total margin is made of; those of the previous run too that are off now."""
    total = float(np.nansum(source.amount("margin")))
    names = source.components if moved is None else list(moved.parts)
    out = []
    for name in names:
        amount = source.amount(name)
        then = None if moved is None else float(np.nansum(moved.previous.amount(name)))
        now = float(np.nansum(amount))
        out.append(Component(name, now, now / total if total else 0.0, int(np.count_nonzero(amount > 0)), then))
    return out


def accounts(source: Source, moved: Movement | None, places: int) -> Grid:
    """Every account, the largest margin first."""
    order = by_margin(source)
    kept = np.zeros(len(order), dtype=np.bool_)
    kept[:ROWS] = True
    order = order[kept | ~source.ok[order]]
    names = source.margin.column_names

    def amount(name: str, **more: bool) -> Column:
        return Column(name, words(name), "money", source.amount(name)[order], places, **more)

    columns = [Column("account", "account", "name", texts(source.margin, "account")[order])]
    if has_members(source) and source.diagnostics is not None:
        columns += [
            Column("member", "member", "name", texts(source.diagnostics, "member")[order], choose=True),
            Column("kind", "kind", "text", texts(source.diagnostics, "kind")[order], choose=True),
        ]
    columns.append(Column("status", "status", "status", texts(source.margin, "status")[order], choose=True))
    if source.has("standing"):
        columns.append(Column("standing", "standing", "standing", texts(source.margin, "standing")[order], choose=True))
    columns.append(amount("margin", least=True))
    if moved is not None:
        change = moved.change(source)[order]
        columns.append(Column("change", "change", "change", change, places))
    columns.append(amount("core"))
    columns.append(Column("core_model", "model", "text", texts(source.margin, "core_model")[order], choose=True))
    columns.append(Column("worst_scenario", "worst scenario", "text", texts(source.margin, "worst_scenario")[order]))
    columns += [amount(name, aside=name in source.charges) for name in source.components[1:]]
    measure = source.config["measure"]
    brought = [f"fhs_{measure}", f"mc_{measure}", f"mc_{measure}_se", "scan", "stress"]
    columns += [amount(name, aside=True) for name in brought if source.has(name)]
    columns.append(amount("net_option_value"))
    wanted = ("initial", "maintenance", "requirement", "collateral", "excess")
    less = ("initial", "maintenance")
    columns += [amount(name, aside=name in less) for name in wanted if name in names and source.has(name)]
    return Grid("accounts", "Accounts", columns, sort="margin", sum="margin")


def movers(source: Source, moved: Movement, places: int) -> Grid:
    """The largest changes of margin, up or down; new accounts are among them."""
    now, account = source.amount("margin"), texts(source.margin, "account")
    change = moved.change(source)
    size = np.where(np.isnan(change), 0.0, np.abs(change))
    order = np.lexsort((np.arange(len(size)), -size))[:MOVERS]
    order = order[size[order] > 0]
    parts = {}
    for name in moved.parts:
        before = np.where(moved.new, 0.0, moved.parts[name])
        part = np.nan_to_num(source.amount(name)) - before
        if np.any(part[order] != 0):
            parts[name] = part[order]
    stack = np.stack([*parts.values()]) if parts else np.zeros((1, len(order)))
    led = np.array([words(name) for name in parts] or [""], dtype=object)[np.nan_to_num(np.abs(stack)).argmax(axis=0)]
    before = np.where(moved.new, np.nan, moved.then)[order]
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(before > 0, change[order] / before, np.nan)
    columns = [
        Column("account", "account", "name", account[order]),
        Column("change", "change", "change", change[order], places),
        Column("relative", "change, %", "percent", relative),
        Column("then", "margin then", "money", before, places),
        Column("now", "margin now", "money", now[order], places, least=True),
        Column("led", "mostly by", "text", led, choose=True),
        *(Column(f"by_{c}", words(c), "change", part, places, aside=c not in BASIC) for c, part in parts.items()),
        Column("scenario_then", "worst scenario then", "text", moved.scenario[order]),
        Column("scenario_now", "worst scenario now", "text", texts(source.margin, "worst_scenario")[order]),
        Column("what", "what", "text", np.where(moved.new[order], "new", "moved"), choose=True),
    ]
    return Grid("movers", "Largest moves", columns)


def gone(moved: Movement, places: int) -> Grid:
    """The accounts of the previous run that are not in this one."""
    rows = moved.gone.slice(0, MOVERS)
    columns = [
        Column("account", "account", "name", texts(rows, "account")),
        Column("then", "margin then", "money", numbers(rows, "margin"), places),
    ]
    return Grid("gone", "Accounts that are gone", columns)


def models(source: Source, places: int) -> Grid:
    """Which model sets the core of how many accounts, and of how much."""
    table = _grouped(source, "core_model")
    name = np.array([MODELS.get(m, m) for m in table["core_model"].to_pylist()], dtype=object)
    return Grid("models", "Models that set the core", _binding(table, "model", name, places))


def scenarios(source: Source, places: int) -> tuple[Grid, int]:
    """The scenarios that are the largest loss of an account, and how many there are in all."""
    table = _grouped(source, "worst_scenario")
    top = table.slice(0, SCENARIOS)
    columns = _binding(top, "worst scenario", texts(top, "worst_scenario"), places)
    return Grid("scenarios", "Binding scenarios", columns), table.num_rows


def _grouped(source: Source, by: str) -> pa.Table:
    """accounts, core and margin by a column, the most core first."""
    table = source.margin.select([by, "core", "margin"]).filter(pc.is_valid(source.margin[by]))
    sums = pa.TableGroupBy(table, by, use_threads=False).aggregate(
        [("core", "sum"), ("margin", "sum"), ([], "count_all")]
    )
    return sums.sort_by([("core_sum", "descending"), (by, "ascending")])


def _binding(table: pa.Table, title: str, names: npt.NDArray[np.object_], places: int) -> list[Column]:
    core = numbers(table, "core_sum")
    total = float(core.sum())
    return [
        Column("name", title, "text", names),
        Column("accounts", "accounts", "count", numbers(table, "count_all")),
        Column("core", "core", "money", core, places),
        Column("share", "share", "share", core / total if total else np.zeros(len(core))),
        Column("margin", "margin", "money", numbers(table, "margin_sum"), places),
    ]


def has_members(source: Source) -> bool:
    """Whether the book says whose the accounts are: a member, or that some are the house's own."""
    told = source.diagnostics
    if told is None:
        return False
    return told["member"].null_count < told.num_rows or bool(pc.any(pc.equal(told["kind"], HOUSE)).as_py())


def members(source: Source, moved: Movement | None, places: int) -> Grid:
    """Totals by member and kind, the largest margin first."""
    assert source.diagnostics is not None
    change = source.amount("margin") if moved is None else moved.change(source)
    amounts = {name: source.amount(name) for name in ("margin", *source.components)} | {"change": change}
    shortfall = -np.minimum(np.nan_to_num(source.amount("excess")), 0.0)
    table = pa.table(
        {
            "member": source.diagnostics["member"],
            "kind": source.diagnostics["kind"],
            "shortfall": shortfall,
            **{name: pa.array(np.nan_to_num(amount)) for name, amount in amounts.items()},
        }
    )
    sums = pa.TableGroupBy(table, ["member", "kind"], use_threads=False).aggregate(
        [*((name, "sum") for name in (*amounts, "shortfall")), ([], "count_all")]
    )
    sums = sums.sort_by([("margin_sum", "descending"), ("member", "ascending"), ("kind", "ascending")])
    columns = [
        Column("member", "member", "name", texts(sums, "member")),
        Column("kind", "kind", "text", texts(sums, "kind"), choose=True),
        Column("accounts", "accounts", "count", numbers(sums, "count_all")),
        Column("margin", "margin", "money", numbers(sums, "margin_sum"), places),
    ]
    if moved is not None:
        columns.append(Column("change", "change", "change", numbers(sums, "change_sum"), places))
    columns += [
        Column(c, words(c), "money", numbers(sums, f"{c}_sum"), places, aside=c in source.charges)
        for c in source.components
    ]
    if source.has("excess"):
        columns.append(Column("shortfall", "shortfall", "money", numbers(sums, "shortfall_sum"), places))
    return Grid("members", "Members", columns, sort="margin", sum="margin")


def by_kind(source: Source) -> list[tuple[str, int, float]]:
    """Accounts and margin of the house and of clients."""
    assert source.diagnostics is not None
    kind, margin = texts(source.diagnostics, "kind"), source.amount("margin")
    return [(k, int(np.sum(kind == k)), float(np.nansum(margin[kind == k]))) for k in (HOUSE, CLIENT)]


def failures(source: Source) -> Grid:
    """The accounts that have no margin, and why."""
    failed = source.margin.filter(pa.array(~source.ok)).slice(0, FAILURES)
    reason = np.array([s.removeprefix("failed: ") for s in failed["status"].to_pylist()], dtype=object)
    columns = [
        Column("account", "account", "name", texts(failed, "account")),
        Column("reason", "reason", "status", reason),
    ]
    return Grid("failures", "Failures", columns)
