"""Makes the library of stress scenarios that ships: `gpu_var/scenarios/library/data/{history,frb}.csv`.

    python bench/stress_library.py DATA

DATA holds `stress/historical_stress_events_measured.csv`, the Federal Reserve's `stress/frb_*.csv` and
`prices/panel_daily_close.csv.gz`. What the columns mean is written in the library's README.
"""

import csv
import gzip
import sys
from bisect import bisect_left, bisect_right
from datetime import date
from pathlib import Path

OUT = Path(__file__).parents[1] / "gpu_var" / "scenarios" / "library" / "data"
FACTORS = (
    *("SPX", "NDX_COMP", "VIX", "BTC", "ETH", "WTI", "WTI_USD", "BRENT", "EURUSD", "USDJPY", "GBPUSD", "EURCHF"),
    *("UST3M", "UST5Y", "UST10Y", "BBB", "GLD", "TLT", "HYG"),
)
POINTS = ("UST3M", "UST5Y", "UST10Y", "BBB", "WTI_USD")
"""Moves of these are differences; all others are relative changes."""

TOLERANCE = 2e-5
"""How far a move measured here may be from the same one in the file of events, which has six digits."""

VENUES = 1e-2
"""The same where the panel has another venue's closes, of coins from 2022-02-15 on, or a fund's for an index."""

WEEK = 7
"""Days that two closes of one move may be apart, or a close from the day that it stands for."""

Series = tuple[list[str], list[float]]
Closes = dict[str, list[Series]]
Events = dict[str, dict[str, dict[str, str]]]


def rows(path: Path) -> list[dict[str, str]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    return list(csv.DictReader(text.splitlines()))


def panel(path: Path) -> dict[str, list[Series]]:
    """Daily closes of the factors that the panel has: (dates, levels), ascending, of each series in order."""
    closes: dict[str, Series] = {}
    early: float | None = None
    for row in rows(path):
        level = {name: float(value) for name, value in row.items() if name != "date" and value}
        found = {
            "SPX": level.get("SPX_index"),
            "VIX": level.get("VIX"),
            "SPX/SPY": level.get("SPY_adj"),
            "BTC": level.get("BTCUSD_yahoo"),
            "BTC/Binance": level.get("BTCUSDT_binance"),
            "ETH": level.get("ETHUSD_yahoo"),
            # This venue's closes stand a day before their date, as those of the other venues show.
            "ETH/Coinbase": early,
            "WTI": level.get("WTI"),
            "BRENT": level.get("BRENT"),
            "EURUSD": level.get("EURUSD"),
            "EURCHF": level.get("EURCHF"),
            "USDJPY": ratio(level.get("EURJPY"), level.get("EURUSD")),
            "GBPUSD": ratio(level.get("EURUSD"), level.get("EURGBP")),
            "UST10Y": level.get("UST10Y_yield_pct"),
        }
        early = level.get("ETHUSD_coinbase2")
        for name, value in found.items():
            if value is not None:
                dates, levels = closes.setdefault(name, ([], []))
                dates.append(row["date"])
                levels.append(value)
    of: dict[str, list[Series]] = {}
    for name, series in closes.items():
        of.setdefault(name.partition("/")[0], []).append(series)
    return of


def ratio(over: float | None, under: float | None) -> float | None:
    return None if over is None or under is None else over / under


def change(name: str, before: float, after: float) -> dict[str, float]:
    """A move as the library has it. One of oil below zero is there in dollars too, for it has no return."""
    if name in POINTS:
        return {name: after - before}
    relative = {name: after / before - 1.0} if before > 0.0 else {}
    dollars = {f"{name}_USD": after - before} if before <= 0.0 or after <= 0.0 else {}
    return relative | dollars


def day(closes: Closes, name: str, on: str) -> dict[str, float]:
    """The move of one day, from the series' close before it; none where there is no close on it."""
    for dates, levels in closes.get(name, []):
        at = bisect_left(dates, on)
        if 0 < at < len(dates) and dates[at] == on and apart(dates[at - 1], on) <= WEEK:
            return change(name, levels[at - 1], levels[at])
    return {}


def until(closes: Closes, name: str, first: str, last: str) -> dict[str, float]:
    """The move between the last closes on or before two days; none where there is none within a week."""
    for dates, levels in closes.get(name, []):
        ends = [bisect_right(dates, on) - 1 for on in (first, last)]
        if ends[0] >= 0 and all(apart(dates[at], on) <= WEEK for at, on in zip(ends, (first, last), strict=True)):
            return change(name, *(levels[at] for at in ends))
    return {}


def apart(before: str, after: str) -> int:
    """Days between two dates."""
    return (date.fromisoformat(after) - date.fromisoformat(before)).days


def told(measured: dict[str, str], key: str) -> dict[str, float]:
    """A cumulative move of the file of events: points of volatility and dollars of oil over the first level."""
    name, move, level = measured["factor"], float(measured[key]), float(measured["level_start"])
    if name in POINTS or measured["unit"] == "rel":
        return {name: move}
    return change(name, level, level + move)


def told_days(events: Events, closes: Closes) -> dict[tuple[str, str], dict[str, float]]:
    """The moves of one day that the file of events has, which are the worst and the best of each event, by factor and
    day.
    """
    out: dict[tuple[str, str], dict[str, float]] = {}
    for measured in (m for event in events.values() for m in event.values()):
        name = measured["factor"]
        for key in ("worst_1d", "best_1d"):
            on, move = measured[f"{key}_date"], float(measured[key])
            if name in POINTS or measured["unit"] == "rel":
                out[name, on] = {name: move}
            elif (before := previous(closes, name, on)) is not None:
                out[name, on] = change(name, before, before + move)
    return out


def previous(closes: Closes, name: str, on: str) -> float | None:
    """The last close before a day."""
    for dates, levels in closes.get(name, []):
        at = bisect_left(dates, on)
        if at:
            return levels[at - 1]
    return None


def on_one_day(closes: Closes, told_on: dict[tuple[str, str], dict[str, float]], on: str) -> dict[str, float]:
    """Every factor's move of the same day: that of the file of events where it has it, else that of the panel."""
    out: dict[str, float] = {}
    for name in FACTORS:
        ours, theirs = day(closes, name, on), told_on.get((name, on), {})
        for key in ours.keys() & theirs.keys():
            close = VENUES if name in ("BTC", "ETH", "SPX") and on > "2022-02-14" else TOLERANCE
            if abs(ours[key] - theirs[key]) > close * max(1.0, abs(theirs[key])):
                raise ValueError(f"{name} on {on}: {ours[key]} here, {theirs[key]} in the file of events")
        out |= ours | theirs
    return out


def trough(event: dict[str, dict[str, str]], closes: Closes, anchor: str) -> str | None:
    """The day of the anchor's lowest close, where the panel has it.

    None where it is the last day, whose scenario is that of the whole event, or the first, which is one of one day.
    """
    measured = event[anchor]
    for dates, levels in closes.get(anchor, []):
        inside = [i for i, on in enumerate(dates) if measured["start"] <= on <= measured["end"]]
        if inside and dates[inside[0]] == measured["start"] and dates[inside[-1]] == measured["end"]:
            low = min(inside, key=lambda i: levels[i])
            return dates[low] if inside[1] < low < inside[-1] else None
    return None


def history(data: Path) -> list[dict[str, str]]:
    """The scenarios of the events, joint ones first."""
    closes = panel(data / "prices" / "panel_daily_close.csv.gz")
    events: Events = {}
    for row in rows(data / "stress" / "historical_stress_events_measured.csv"):
        events.setdefault(row["event"], {})[row["factor"]] = row
    told_on = told_days(events, closes)
    out = []
    for known in rows(OUT / "events.csv"):
        event, anchor = events.pop(known["event"]), known["anchor"]
        start, end = min(m["start"] for m in event.values()), max(m["end"] for m in event.values())
        name, title = f"history:{known['name']}", known["title"]

        def add(suffix: str, dates: tuple[str, str], moves: dict[str, float], what: str) -> None:
            row = {"name": name + suffix, "from": dates[0], "to": dates[1], "source": f"{title}: {what}"}  # noqa: B023
            out.append(row | {key: f"{value:.6g}" for key, value in moves.items()})

        whole = {key: move for m in event.values() for key, move in told(m, "move_start_to_end").items()}
        add("", (start, end), whole, "closes of the first and of the last day")
        low = trough(event, closes, anchor)
        if low:
            joint = {key: move for f, m in event.items() for key, move in until(closes, f, m["start"], low).items()}
            add(":trough", (start, low), joint, f"closes of the first day and of that of the lowest {anchor}")
        larger = {f: max(("worst_cum", "best_cum"), key=lambda k: abs(float(m[k]))) for f, m in event.items()}
        extremes = {key: move for f, m in event.items() for key, move in told(m, larger[f]).items()}
        if extremes != whole:
            add(":extremes", (start, end), extremes, "each factor's largest move since the first day; not on one day")
        for suffix, key, sign in ((":1d-down", "worst_1d", -1.0), (":1d-up", "best_1d", 1.0)):
            if float(event[anchor][key]) * sign > 0.0:
                on = event[anchor][f"{key}_date"]
                moves = on_one_day(closes, told_on, on)
                word = "lowest" if sign < 0 else "highest"
                add(
                    suffix,
                    (on, on),
                    moves,
                    f"the day of the {word} one-day move of {anchor}, all from their close before",
                )
    if events:
        raise ValueError(f"events without a name: {', '.join(events)}")
    return out


def frb(data: Path) -> list[dict[str, str]]:
    """The severely adverse paths against the last quarter before them."""
    folder = data / "stress"
    exercises = (
        ("2025", "frb_2025_2025-Table_1{}_Historic_{}", "frb_2025_2025-Table_3{}_Supervisory_Severely_Adverse_{}", ""),
        (
            "2026-proposed",
            "frb_2026-proposed_2026_Proposed_Historic_{1}",
            "frb_2026-proposed_2026_Proposed_Supervisory_Severely_Adverse_{1}",
            "proposed ",
        ),
    )
    mapping = rows(OUT / "frb_mapping.csv")
    out = []
    for year, before, after, kind in exercises:
        tables = {}
        for letter, table in (("A", "Domestic"), ("B", "International")):
            jump = rows(folder / f"{before.format(letter, table)}.csv")[-1]
            tables[table.lower()] = [jump, *rows(folder / f"{after.format(letter, table)}.csv")]
        if len({tuple(row["Date"] for row in rows_) for rows_ in tables.values()}) != 1:
            raise ValueError(f"{year}: the quarters of the two tables differ")
        first = tables["domestic"][0]["Date"]
        source = f"Federal Reserve, {kind}severely adverse scenario {year[:4]}"
        path = []
        for step, quarter in enumerate(tables["domestic"][1:], 1):
            moves = {}
            for m in mapping:
                begin, now = (float(tables[m["table"]][i][m["variable"]]) for i in (0, step))
                moves[m["factor"]] = now / begin - 1.0 if m["change"] == "relative" else now - begin
            row = {"from": first, "to": quarter["Date"], "of": f"frb:{year}:path", "step": str(step), "source": source}
            path.append(row | {"name": f"frb:{year}:path/{step}"} | {key: f"{x:.6g}" for key, x in moves.items()})
        for suffix, factor, sign, what in (
            ("equity-low", "SPX", 1, "the quarter of the lowest stocks"),
            ("volatility-high", "VIX", -1, "the quarter of the highest volatility"),
            ("yield-low", "UST10Y", 1, "the quarter of the lowest 10-year yield"),
            ("credit-high", "BBB", -1, "the quarter of the highest BBB yield"),
            ("euro-low", "EURUSD", 1, "the quarter of the lowest euro"),
        ):
            peak = min(path, key=lambda row: sign * float(row[factor]))
            name = f"frb:{year}:{suffix}"
            out.append(peak | {"name": name, "of": name, "step": "1", "source": f"{source}: {what}"})
        out += path
    return out


def write(path: Path, table: list[dict[str, str]]) -> None:
    used = [name for name in FACTORS if any(name in row for row in table)]
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, ["name", "of", "step", "from", "to", *used, "source"], lineterminator="\n")
        out.writeheader()
        out.writerows({"of": row["name"], "step": "1"} | row for row in table)


if __name__ == "__main__":
    write(OUT / "history.csv", history(Path(sys.argv[1])))
    write(OUT / "frb.csv", frb(Path(sys.argv[1])))
