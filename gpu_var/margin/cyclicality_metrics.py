"""How much the margin of a constant portfolio moves (Murphy, Vasios & Vause 2014, Financial Stability Paper 29)."""

import numpy as np
import pyarrow as pa

from gpu_var.margin.constant_book import MarginPath
from gpu_var.tables.book import F8

RISES = (1, 5, 20, 30)
"""n of the n-day measures, in rows of history."""


def peak_to_trough(margin: F8) -> F8:
    """(n,) max M / min M of each path.

    Args:
        margin: (n_dates, n) not negative.

    Returns:
        NaN where the trough is 0 or a margin is missing.
    """
    low, high = margin.min(axis=0), margin.max(axis=0)
    return np.asarray(np.divide(high, low, out=np.full_like(low, np.nan), where=low > 0.0))


def largest_rise(margin: F8, steps: int) -> F8:
    """(n,) max over t of M_{t+n}/M_t − 1, the largest proportional rise over n days; negative where all are falls.

    Args:
        margin: (n_dates, n) not negative, at equal distances.
        steps: n in these distances.

    Returns:
        NaN where there is no pair of dates with a positive M_t, or a margin is missing.
    """
    before, after = margin[:-steps], margin[steps:]
    ratio = np.divide(after, before, out=np.full_like(before, -np.inf), where=before > 0.0)
    rise = ratio.max(axis=0, initial=-np.inf) - 1.0
    missing = np.isnan(margin).any(axis=0) | ~np.isfinite(rise)
    return np.asarray(np.where(missing, np.nan, rise))


def metrics(margin: F8, every: int) -> dict[str, F8]:
    """Column -> (n,): the first and the last margin, trough, peak, mean, and the measures of procyclicality.

    Args:
        margin: (n_dates, n) not negative, NaN for a failed account.
        every: rows of history from one date to the next; a rise over n rows of which it is no divisor is NaN.
    """
    out = {
        "first": margin[0],
        "last": margin[-1],
        "trough": margin.min(axis=0),
        "peak": margin.max(axis=0),
        "mean": margin.mean(axis=0),
        "peak_to_trough": peak_to_trough(margin),
    }
    nothing = np.full(margin.shape[1], np.nan)
    rises = {f"rise_{n}d": largest_rise(margin, n // every) if n % every == 0 else nothing for n in RISES}
    return {name: np.asarray(values, np.float64) for name, values in (out | rises).items()}


def with_total(path: MarginPath, method: str) -> F8:
    """(n_dates, 1 + n_accounts): the total over the accounts, then the accounts."""
    return np.concatenate([path.total[method][:, None], path.margin[method]], axis=1)


def path_table(path: MarginPath, accounts: pa.StringArray) -> pa.Table:
    """date, account, method, margin: by date, the total (account null) and then the accounts, each by method.

    Args:
        accounts: their names, in the order of the path. `margin` is in base currency, null for a failed account.
    """
    n_dates, n_rows, n_methods = len(path.date), 1 + len(accounts), len(path.margin)
    names = pa.concat_arrays([pa.nulls(1, pa.string()), accounts.cast(pa.string())])
    date = np.repeat(path.date, n_rows * n_methods)
    account = np.tile(np.repeat(np.arange(n_rows), n_methods), n_dates)
    method = np.tile(np.arange(n_methods), n_dates * n_rows)
    margin = np.stack([with_total(path, method) for method in path.margin], axis=-1).reshape(-1)
    return pa.table(
        {
            "date": pa.array(date.astype("datetime64[us]"), pa.timestamp("us", "UTC")),
            "account": names.take(pa.array(account)),
            "method": pa.array(list(path.margin), pa.string()).take(pa.array(method)),
            "margin": _numbers(margin),
        }
    )


def summary_table(path: MarginPath, accounts: pa.StringArray) -> pa.Table:
    """account, method and the columns of `metrics`: the total (account null) and then the accounts, each by method."""
    names = pa.concat_arrays([pa.nulls(1, pa.string()), accounts.cast(pa.string())])
    parts = []
    for method in path.margin:
        columns = {name: _numbers(values) for name, values in metrics(with_total(path, method), path.every).items()}
        parts.append(pa.table({"account": names, "method": pa.array([method] * len(names), pa.string()), **columns}))
    order = np.arange(len(names) * len(parts)).reshape(len(parts), len(names)).T.reshape(-1)
    return pa.concat_tables(parts).take(pa.array(order)).combine_chunks()


def _numbers(values: F8) -> pa.Array:
    return pa.array(values + 0.0, mask=np.isnan(values), type=pa.float64())
