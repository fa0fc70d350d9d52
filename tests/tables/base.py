"""A small valid book, and copies of it with one thing changed."""

from pathlib import Path

_DAYS = [f"2025-12-{day:02d}" for day in range(10, 32)]

BOOK = {
    "positions.csv": "account,instrument,quantity\nA1,BTC-C,10\nA1,BTC-F,-2\nA2,BTC-C,-5\nA2,EUX-S,3\nA1,BTC-C,1\n",
    "instruments.csv": (
        "instrument,kind,underlying,multiplier,expiry,strike,right\n"
        "BTC-C,option,BTC,1,2026-06-26T08:00:00Z,100000,call\n"
        "BTC-F,future,BTC,1,2026-03-27,,\n"
        "EUX-S,spot,EUX,1,,,\n"
    ),
    "underlyings.csv": (
        "underlying,currency,spot,adv,vega_adv,half_spread,vol_half_spread\n"
        "BTC,USD,95000,1000,1e6,0.0005,0.005\n"
        "EUX,EUR,100,1e4,,0.001,\n"
    ),
    "vols.csv": "underlying,expiry,strike,iv\nBTC,2026-06-26,90000,0.55\nBTC,2026-06-26,110000,0.5\n",
    "fx.csv": "currency,rate\nEUR,1.1\n",
    "history.csv": "date,spot:BTC,spot:EUX,iv:BTC:30d,fx:EUR\n"
    + "".join(
        f"{day},{95000 + 3 * i * i},{100 + i % 5},{0.5 + i % 7 / 100:g},{1.1 + i % 3 / 1000:g}\n"
        for i, day in enumerate(_DAYS)
    ),
    "margin.toml": (
        'as_of = 2026-01-01T00:00:00Z\nbase_currency = "USD"\n[fhs]\nlookback = 20\n[monte_carlo]\npaths = 100\n'
    ),
}
"""Line 12 of history.csv is 2025-12-20, the eleventh of twenty-two dates."""

Change = str | bytes | tuple[str, str] | None


def write(folder: Path, **changes: Change) -> Path:
    """The book, changed: `fx__csv` is fx.csv, given anew, with one text replaced by another, or (None) left out."""
    folder.mkdir(parents=True)
    files: dict[str, str | bytes] = dict(BOOK)
    for key, change in changes.items():
        name = key.replace("__", ".")
        if change is None:
            del files[name]
        elif isinstance(change, tuple):
            text = BOOK[name]
            assert change[0] in text, f"{change[0]!r} is not in {name}"
            files[name] = text.replace(*change)
        else:
            files[name] = change
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder
