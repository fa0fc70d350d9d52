"""A book of several underlyings, whose run has many shards where the configuration says so."""

from pathlib import Path

import numpy as np

from gpu_var.report import commands

SHARDED = "[batch]\nshard_revaluations = 50000\nchunk_megabytes = 1\n"
"""Three chunks of accounts and several groups of underlyings."""

UNDERLYINGS, ACCOUNTS = 5, 30
TABLES = ("margin.parquet", "breakdown.parquet", "scan.parquet", "diagnostics.parquet", "report.html")
PNL = ("pnl_fhs.arrow", "pnl_monte_carlo.arrow", "pnl_scan.arrow")

CONFIG = """
as_of = 2026-01-05T00:00:00Z
base_currency = "USD"
[fhs]
lookback = 60
[monte_carlo]
paths = 10000
seed = 3
[scan]
price_range = 0.1
vol_range = 0.3
"""


def write_house(folder: Path, more: str = SHARDED) -> Path:
    """Five stocks with a few options each, one of them American, and 30 accounts; the last holds nothing."""
    rng = np.random.default_rng(5)
    folder.mkdir(parents=True)
    names = [f"U{u}" for u in range(UNDERLYINGS)]
    table(folder, "underlyings", "underlying,currency,spot,adv,half_spread", [f"{n},USD,100,1e5,0.001" for n in names])
    rows, instruments = [], []
    for u, name in enumerate(names):
        rows.append(f"{name},spot,{name},1,,,,")
        for strike in (90, 100, 110):
            exercise = "american" if u == 2 else "european"
            rows.append(
                f"{name}-{strike},option,{name},100,2026-03-20,{strike},{'call' if u % 2 else 'put'},{exercise}"
            )
        instruments += [row.partition(",")[0] for row in rows[-4:]]
    table(folder, "instruments", "instrument,kind,underlying,multiplier,expiry,strike,right,exercise", rows)
    vols = [f"{n},2026-03-20,{k},{v}" for n in names for k, v in ((90, 0.24), (110, 0.2))]
    table(folder, "vols", "underlying,expiry,strike,iv", vols)
    accounts = [f"A{a:02}" for a in range(ACCOUNTS)]
    table(folder, "accounts", "account", accounts)
    held = [
        f"{account},{instrument},{rng.normal(0, 20):.1f}"
        for account in accounts[:-1]
        for instrument in rng.choice(instruments, 9, replace=False)
    ]
    table(folder, "positions", "account,instrument,quantity", [*held, "A00,U0,0", "A22,U4-90,0"])
    dates = np.datetime64("2026-01-05") - np.arange(69, -1, -1)
    moves = rng.standard_t(5, (70, 2 * UNDERLYINGS)) * 0.015
    levels = np.exp(np.cumsum(moves, axis=0)) * np.tile([100.0, 0.2], UNDERLYINGS)
    header = ",".join(f"spot:{n},iv:{n}:60d" for n in names)
    lines = [f"{d},{','.join(map(repr, row))}" for d, row in zip(dates, levels.tolist(), strict=True)]
    table(folder, "history", f"date,{header}", lines)
    (folder / "margin.toml").write_text(CONFIG + more)
    return folder


def table(folder: Path, name: str, header: str, lines: list[str]) -> None:
    (folder / f"{name}.csv").write_text("\n".join([header, *lines]) + "\n")


def run(book: Path, out: Path, mode: str = "new", **more) -> int:
    """`gpu-var run --pnl`."""
    how = {"backend": "cpu", "precision": "float64", "pnl": True, "quiet": True, "threads": 1}
    return commands.run(book, None, out, mode=mode, **how | more)


def outputs(out: Path) -> dict[str, bytes]:
    """All that must be the same, whoever computed it and however often it was interrupted."""
    return {name: (out / name).read_bytes() for name in (*TABLES, *PNL)}
