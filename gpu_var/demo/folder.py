"""Writing a book as a folder of CSV files: the demo is also the example of the format."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from gpu_var.demo.chain import Chain, Index
from gpu_var.demo.dealers import MEMBERS
from gpu_var.demo.source import DATA, F8
from gpu_var.demo.strategies import Holdings


def write(folder: Path, tables: Mapping[str, pa.Table]) -> Path:
    """`folder` with a NAME.csv a table, and the shipped files of its name as margin.toml and scenarios.toml."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = pyarrow.csv.WriteOptions(include_header=False, quoting_style="none")
    for name, table in tables.items():
        with (folder / f"{name}.csv").open("wb") as file:
            file.write((",".join(table.column_names) + "\n").encode())  # pyarrow would quote the names
            pyarrow.csv.write_csv(table, file, plain)
    shutil.copyfile(DATA / f"{folder.name}.toml", folder / "margin.toml")
    shutil.copyfile(DATA / f"{folder.name}.scenarios.toml", folder / "scenarios.toml")
    return folder


def instruments(
    chain: Chain, underlying: str, terms: Mapping[str, str], others: Sequence[Mapping[str, object]]
) -> pa.Table:
    """The other instruments as given, then the options, with the `terms` (exercise, settlement) of all of them."""
    n = len(chain.name)
    options = pa.table(
        {
            "instrument": chain.name,
            "kind": ["option"] * n,
            "underlying": [underlying] * n,
            "multiplier": np.full(n, chain.multiplier),
            "expiry": np.array(chain.expiry)[chain.slice],
            "strike": chain.strike,
            "right": np.where(chain.sign > 0, "call", "put"),
            **{column: [word] * n for column, word in terms.items()},
        }
    )
    return pa.concat_tables([pa.Table.from_pylist(list(others), schema=options.schema), options])


def positions(chain: Chain, holdings: Holdings, others: Mapping[str, F8]) -> pa.Table:
    """The options of every account, and the `others`: quantities (a,) by instrument. Sorted, without zeros."""
    names = np.array([*others, *chain.name])
    quantity = np.concatenate([np.stack(list(others.values()), axis=1), holdings.options], axis=1)
    account, instrument = np.nonzero(quantity)
    table = pa.table(
        {
            "account": np.array(holdings.account)[account],
            "instrument": names[instrument],
            "quantity": quantity[account, instrument],
        }
    )
    return table.sort_by([("account", "ascending"), ("instrument", "ascending")])


def accounts(names: Sequence[str], rng: np.random.Generator) -> pa.Table:
    """Customers spread over the clearing members at random, evenly; a dealer is its member's house account."""
    house = {f"dealer-{member + 1}": member for member in range(MEMBERS)} | {"market-maker": 0}
    clients = sorted(set(names) - set(house))
    member = dict(zip(clients, (rng.permutation(len(clients)) % MEMBERS).tolist(), strict=True)) | house
    ordered = sorted(names)
    return pa.table(
        {
            "account": ordered,
            "member": [f"member-{member[name] + 1}" for name in ordered],
            "kind": ["house" if name in house else "client" for name in ordered],
        }
    )


def collateral(names: Sequence[str], exposure: F8, underlying: str, spot: float) -> pa.Table:
    """A tenth of each account's gross delta exposure (a,) in US dollars, rounded up to a thousand: every second account
    in dollars, the others in the underlying. Where there is none, no row."""
    order = np.argsort(names)
    cash = np.ceil(0.1 * exposure[order] / 1000) * 1000
    in_kind = (np.arange(len(order)) % 2 == 1) & (cash > 0)
    table = pa.table(
        {
            "account": np.array(names)[order],
            "asset": np.where(in_kind, underlying, "USD"),
            "quantity": np.where(in_kind, np.round(cash / spot), cash),
        }
    )
    return table.filter(pa.array(cash > 0))


def members(accounts: pa.Table, names: Sequence[str], exposure: F8) -> pa.Table:
    """Each clearing member's contribution to the default fund: a hundredth of the gross delta exposure (a,) of its
    accounts in US dollars, rounded up to a hundred thousand. The first two members are one group."""
    of = dict(zip(names, exposure.tolist(), strict=True))
    total: dict[str, float] = {}
    for account, member in zip(accounts["account"].to_pylist(), accounts["member"].to_pylist(), strict=True):
        total[member] = total.get(member, 0.0) + of[account]
    ordered = sorted(total)
    return pa.table(
        {
            "member": ordered,
            "group": ["harbour-group" if member in ("member-1", "member-2") else "" for member in ordered],
            "contribution": [float(np.ceil(0.01 * total[member] / 1e5) * 1e5) for member in ordered],
        }
    )


def vols(chain: Chain, underlying: str, rows: Index, iv: F8) -> pa.Table:
    """The nodes of the surface, ascending by expiry and strike; `iv` is that of `rows`."""
    order = np.lexsort((chain.strike[rows], chain.slice[rows]))
    ordered = rows[order]
    return pa.table(
        {
            "underlying": [underlying] * len(rows),
            "expiry": np.array(chain.expiry)[chain.slice[ordered]],
            "strike": chain.strike[ordered],
            "iv": np.round(iv[order], 8),
        }
    )


def history(date: Sequence[str], factors: Mapping[str, F8]) -> pa.Table:
    """A column a factor, in order of name."""
    return pa.table({"date": list(date), **{name: np.round(factors[name], 6) for name in sorted(factors)}})
