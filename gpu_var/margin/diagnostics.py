"""`diagnostics.parquet`: what readers of the margins want to know of each account's losses, without keeping all.

Member and kind of the account, how many scenarios lose more than a VaR or than the whole margin, and the losses of the
simulated models counted in equal bins. A row needs no other row's, so the tables of shards follow one another.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gpu_var.tables.book import F8, I8, Accounts

BINS = 60
"""Bins of a histogram."""

HOUSE, CLIENT = "house", "client"

PREFIX = {"fhs": "fhs", "monte_carlo": "mc", "scan": "scan", "stress": "stress"}
"""What the columns of a model begin with."""

SIMULATED = ("fhs", "monte_carlo")
"""The models whose losses are a sample of a distribution."""

_TILE = 1 << 22  # losses at a time


def diagnostics(margin: pa.Table, pnl: Mapping[str, F8], accounts: Accounts) -> pa.Table:
    """A row an account, in the order of `margin`.

    Args:
        margin: of `margin.parquet`.
        pnl: model -> (n_accounts, n_scenarios) on the host, base currency, gains positive; NaN for failed accounts.
        accounts: of the same order.

    Returns:
        `account, member, kind`, and of each model M in `pnl` (fhs, mc, scan, stress) `M_beyond_margin`: scenarios that
        lose more than the margin; of fhs and mc also `M_beyond_fhs_var`, `M_beyond_mc_var`: scenarios that lose more
        than that VaR, floored at 0; `M_first`, `M_width`, `M_counts`: lower edge of the first bin, width of a bin (base
        currency, losses positive), and scenarios by bin, fixed_size_list<int32>. Null for failed accounts.
    """
    kind = np.where(accounts.house, HOUSE, CLIENT)
    columns: dict[str, pa.Array] = {
        "account": margin["account"].combine_chunks(),
        "member": accounts.member.cast(pa.string()),
        "kind": pa.array(kind, pa.string()),
    }
    limits = {"margin": _numbers(margin, "margin")}
    limits |= {f"{PREFIX[m]}_var": _numbers(margin, f"{PREFIX[m]}_var") for m in SIMULATED if m in pnl}
    for model, values in pnl.items():
        wanted = limits if model in SIMULATED else {"margin": limits["margin"]}
        columns |= _of_model(PREFIX[model], values, wanted, model in SIMULATED)
    return pa.table(columns)


def _of_model(prefix: str, pnl: F8, limits: Mapping[str, F8], binned: bool) -> dict[str, pa.Array]:
    n, step = len(pnl), max(1, _TILE // max(1, pnl.shape[1]))
    beyond = {name: np.zeros(n, dtype=np.int64) for name in limits}
    first, width, counts = np.zeros(n), np.zeros(n), np.zeros((n, BINS), dtype=np.int32)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        losses = -pnl[rows]
        for name, limit in limits.items():
            beyond[name][rows] = np.count_nonzero(losses > limit[rows, None], axis=1)
        if binned:
            first[rows], width[rows], counts[rows] = bins(losses)
    failed = np.isnan(pnl[:, 0])
    columns = {f"{prefix}_beyond_{name}": pa.array(count, mask=failed) for name, count in beyond.items()}
    if binned:
        flat = pa.array(counts.reshape(-1))
        columns |= {
            f"{prefix}_first": pa.array(first, mask=failed),
            f"{prefix}_width": pa.array(width, mask=failed),
            f"{prefix}_counts": pa.FixedSizeListArray.from_arrays(flat, BINS, mask=pa.array(failed)),
        }
    return columns


def bins(losses: F8, number: int = BINS) -> tuple[F8, F8, npt.NDArray[np.int64]]:
    """Counts of losses (n_accounts, n_scenarios) in equal bins, row by row.

    Returns the lower edge of the first bin (n_accounts,), the width of a bin (n_accounts,), the counts (n_accounts,
    number). What is not finite, as where an account failed, is not counted.
    """
    finite = np.isfinite(losses)
    lowest = np.min(losses, axis=1, where=finite, initial=np.inf)
    highest = np.max(losses, axis=1, where=finite, initial=-np.inf)
    none = lowest > highest
    lowest, highest = np.where(none, 0.0, lowest), np.where(none, 0.0, highest)
    spread = highest - lowest
    least = np.maximum(1e-9 * np.maximum(np.abs(lowest), np.abs(highest)), 1e-12)  # one loss alone still needs a bin
    width = np.maximum(spread, least) / number
    place = np.where(finite, losses - lowest[:, None], 0.0) / width[:, None]
    which: I8 = np.clip(place.astype(np.int64), 0, number - 1) + number * np.arange(len(losses))[:, None]
    counts = np.bincount(which[finite], minlength=number * len(losses)).reshape(len(losses), number)
    return lowest, width, counts


def _numbers(table: pa.Table, column: str) -> F8:
    return np.asarray(table[column].to_numpy(), dtype=np.float64)
