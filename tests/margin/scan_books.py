"""A small book for the scan: a coin with every kind of contract, an American stock and a normal underlying, as CSV."""

import math
from pathlib import Path
from statistics import NormalDist

import gpu_var as gv
from gpu_var.margin.measured import Measured
from gpu_var.margin.requirement import measured
from gpu_var.market.checks import load

AS_OF = "2026-01-05T00:00:00Z"
SPOT = {"BTC": 90_000.0, "XS": 50.0, "CL": -2.0}
FORWARD = 91_000.0  # of BTC at the far expiry
RATE = 0.04
NEAR, FAR = 30 / 365, 60 / 365  # years
CALL = {"strike": 95_000.0, "vol": 0.6, "years": FAR}
PUT = {"strike": 80_000.0, "vol": 0.7, "years": NEAR}

TABLES = {
    "underlyings": [
        "underlying,currency,spot,dynamics,dividend_yield",
        f"BTC,USD,{SPOT['BTC']},,",
        f"XS,EUR,{SPOT['XS']},,0.03",
        f"CL,USD,{SPOT['CL']},normal,",
    ],
    "fx": ["currency,rate", "EUR,1.25"],
    "rates": ["currency,expiry,rate", f"USD,2026-03-06,{RATE}", f"EUR,2026-03-06,{RATE}"],
    "forwards": ["underlying,expiry,forward", f"BTC,2026-03-06,{FORWARD}", "CL,2026-03-06,-1.5"],
    "instruments": [
        "instrument,kind,underlying,multiplier,expiry,strike,right,exercise,settlement,iv",
        "SPOT,spot,BTC,1,,,,,,",
        "PERP,perpetual,BTC,0.5,,,,,,",
        "COIN,perpetual,BTC,100,,,,,inverse,",
        "FUT,future,BTC,2,2026-03-06,,,,,",
        "NFUT,future,BTC,1,2026-02-04,,,,,",
        "COINFUT,future,BTC,100,2026-03-06,,,,inverse,",
        "CALL,option,BTC,1,2026-03-06,95000,call,,inverse,0.6",
        "CALLPUT,option,BTC,1,2026-03-06,95000,put,,inverse,0.6",
        "PUT,option,BTC,1,2026-02-04,80000,put,,,0.7",
        "SMILE,option,BTC,1,2026-03-06,100000,call,,,",
        "GONE,option,BTC,1,2026-01-02,85000,call,,,",
        "SOON,option,BTC,1,2026-01-05T12:00Z,85000,call,,,0.5",
        "STOCK,spot,XS,1,,,,,,",
        "XCALL,option,XS,100,2026-03-06,52,call,american,,0.3",
        "XPUT,option,XS,100,2026-03-06,48,put,american,,0.35",
        "BARREL,future,CL,1000,2026-03-06,,,,,",
        "CPUT,option,CL,1000,2026-03-06,-3,put,,,6.0",
    ],
    "vols": ["underlying,expiry,strike,iv", "BTC,2026-03-06,80000,0.65", "BTC,2026-03-06,100000,0.5"],
}

SCAN = "[scan]\nprice_range = 0.15\nvol_range = 0.3\n"


def write(folder: Path, config: str, **accounts: dict[str, float]) -> Path:
    """The book's folder, each account holding instrument -> contracts."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [f"{account},{name},{q!r}" for account, held in accounts.items() for name, q in held.items()]
    for name, lines in (TABLES | {"positions": ["account,instrument,quantity", *rows]}).items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / "margin.toml").write_text(f'as_of = {AS_OF}\nbase_currency = "USD"\n{config}')
    return folder


def measure(folder: Path, config: str = SCAN, threads: int = 1, **accounts: dict[str, float]) -> Measured:
    book, settings, factors, _ = load(write(folder, config, **accounts))
    return measured(book, settings, factors, threads=threads)


def run(folder: Path, config: str = SCAN, **accounts: dict[str, float]) -> gv.Run:
    loaded = gv.Config.load(write(folder, config, **accounts) / "margin.toml")
    return gv.run(gv.read_book(folder, loaded), loaded, backend="cpu")


def by_account(m: Measured) -> dict[str, float]:
    assert m.scan is not None
    return dict(zip(m.book.accounts.name.to_pylist(), m.scan.amount.tolist(), strict=True))


def pnl(m: Measured, account: str) -> list[float]:
    """The account's profit and loss in every scenario."""
    assert m.scan is not None
    row: list[float] = m.scan.pnl[m.book.accounts.name.to_pylist().index(account)].tolist()
    return row


def column(m: Measured, name: str, account: str, underlying: str = "BTC") -> float:
    """A column of the account's cell."""
    assert m.scan is not None
    a, u = m.book.accounts.name.to_pylist().index(account), m.book.underlyings.name.to_pylist().index(underlying)
    (at,) = ((m.cells.account == a) & (m.cells.underlying == u)).nonzero()[0]
    return float(m.scan.columns[name][at])


def black(forward: float, strike: float, years: float, vol: float, sign: int, rate: float = RATE) -> float:
    """Black (1976), as a textbook writes it."""
    deviation = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    cdf = NormalDist().cdf
    return math.exp(-rate * years) * sign * (forward * cdf(sign * d1) - strike * cdf(sign * (d1 - deviation)))


def black_delta(forward: float, strike: float, years: float, vol: float, sign: int, spot: float) -> float:
    """∂price/∂S with the forward in proportion to the spot."""
    deviation = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    return math.exp(-RATE * years) * sign * NormalDist().cdf(sign * d1) * forward / spot


def bachelier(forward: float, strike: float, years: float, vol: float, sign: int) -> float:
    deviation = vol * math.sqrt(years)
    d = sign * (forward - strike) / deviation
    normal = NormalDist()
    return math.exp(-RATE * years) * (sign * (forward - strike) * normal.cdf(d) + deviation * normal.pdf(d))


def sixteen(price_range: float = 0.15, vol_range: float = 0.3) -> list[tuple[float, float, float]]:
    """(price move, volatility move, weight) as methodology 1 tables them."""
    out = [(m * price_range / 3, v * vol_range, 1.0) for m in (0, 1, -1, 2, -2, 3, -3) for v in (1, -1)]
    return [*out, (3 * price_range, 0.0, 0.33), (-3 * price_range, 0.0, 0.33)]
