"""The preset `span`: its constants, and the example of its page recomputed by hand and by a run."""

import math
import re

import pytest
from margin.scan_books import black, sixteen

import gpu_var as gv
from gpu_var.tables import presets
from gpu_var.tables.config_scan import SPAN_DELTA, SPAN_GRID

AS_OF = "2026-01-05T00:00:00Z"
S, LOW, HIGH, VOL, LOT = 20_000.0, 21_000.0, 22_000.0, 0.15, 50
DAYS = 30
GRID = sixteen(0.093, 0.25)
CREDIT = '[[scan.inter_commodity]]\nlegs = [["INDEX", 1.0], ["BANKS", -0.5]]\ncredit = 0.5\n'


def call(spot, strike, growth, days):
    return black(spot, strike, days / 365, VOL * growth, 1, rate=0.0)


def run(folder, config="", **accounts):
    """The book of the page's example."""
    positions = [f"{a},{name},{q!r}" for a, held in accounts.items() for name, q in held.items()]
    tables = {
        "underlyings": ["underlying,currency,spot", f"INDEX,USD,{S}", "BANKS,USD,45000"],
        "instruments": [
            "instrument,kind,underlying,multiplier,expiry,strike,right,iv",
            f"NEAR,future,INDEX,{LOT},2026-02-04,,,",
            f"FAR,future,INDEX,{LOT},2026-03-06,,,",
            f"LOW,option,INDEX,{LOT},2026-02-04,{LOW},call,{VOL}",
            f"HIGH,option,INDEX,{LOT},2026-02-04,{HIGH},call,{VOL}",
            f"WING,option,INDEX,{LOT},2026-02-04,28000,call,{VOL}",
            "BANK,future,BANKS,25,2026-02-04,,,",
        ],
        "positions": ["account,instrument,quantity", *positions],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / "margin.toml").write_text(f'preset = "span"\nas_of = {AS_OF}\nbase_currency = "USD"\n{config}')
    loaded = gv.Config.load(folder / "margin.toml")
    return gv.run(gv.read_book(folder, loaded), loaded, backend="cpu")


def row(table, **where):
    (found,) = [r for r in table.to_pylist() if all(r[k] == v for k, v in where.items())]
    return found


def missing(*numbers):
    """Those that the page does not say; thousands are separated by commas there."""
    text = (presets.FOLDER / "span.md").read_text(encoding="utf-8").replace(",", "").replace("−", "-")
    words = [f"{n:.{digits}f}" for n, digits in numbers]
    return [w for w in words if not re.search(rf"(?<![\d.]){re.escape(w)}(?![\d]|\.\d)", text)]


def test_constants_are_the_methods():
    scan = gv.Config(preset="span", as_of=AS_OF, base_currency="USD").scan
    assert scan.grid == SPAN_GRID
    assert scan.delta_points == SPAN_DELTA


def test_the_page_says_style_and_sources():
    text = (presets.FOLDER / "span.md").read_text(encoding="utf-8")
    assert "style" in text.splitlines()[0]
    assert "## Sources" in text
    assert "## Example" in text


FUTURE = [LOT * w * S * x for x, _, w in GRID]


def array(strike):
    """P&L of one long call in the sixteen scenarios: price and volatility move, and a day passes."""
    return [LOT * w * (call(S * (1 + x), strike, 1 + v, DAYS - 1) - call(S, strike, 1, DAYS)) for x, v, w in GRID]


def composite_delta(strike):
    """Of a call on one unit, with a day less to go."""
    deviation = VOL * math.sqrt((DAYS - 1) / 365)

    def one(spot):
        return 0.5 * math.erfc(-(math.log(spot / strike) / deviation + deviation / 2) / math.sqrt(2))

    return sum(w * one(S * (1 + 0.093 * m)) for m, w in SPAN_DELTA)


def test_example(tmp_path):
    result = run(tmp_path, a={"NEAR": 1.0, "FAR": -2.0, "LOW": -3.0, "HIGH": 3.0}, b={"WING": -4.0})
    scan = row(result.tables["scan"], account="a")
    low, high = array(LOW), array(HIGH)
    losses = [f + 3 * c - 3 * d for f, c, d in zip(FUTURE, low, high, strict=True)]
    worst = max(losses)
    active = losses.index(worst)
    assert active == 11  # its pair is scenario 11
    adjusted, time = (worst + losses[10]) / 2, (losses[0] + losses[1]) / 2
    near, far = LOT * (1 - 3 * composite_delta(LOW) + 3 * composite_delta(HIGH)), -2 * LOT
    net = near + far
    assert near > 0
    charge = near * 0.0175 * S
    wfpr = (adjusted - time) / abs(net)
    assert scan["active_scenario"] == 12
    assert scan["scan_risk"] == pytest.approx(worst, rel=1e-9)
    assert scan["time_risk"] == pytest.approx(time, rel=1e-9)
    assert scan["price_risk"] == pytest.approx(adjusted - time, rel=1e-9)
    assert scan["volatility_risk"] == pytest.approx(worst - adjusted, rel=1e-9)
    assert scan["composite_delta"] == pytest.approx(net, rel=1e-6)
    assert scan["weighted_futures_price_risk"] == pytest.approx(wfpr, rel=1e-6)
    assert scan["inter_month"] == pytest.approx(charge, rel=1e-6)
    assert scan["short_option_minimum"] == pytest.approx(90_000)
    total = worst + charge
    assert total > 90_000
    assert scan["risk"] == pytest.approx(total, rel=1e-6)
    margin = row(result.margin, account="a")
    assert margin["scan"] == margin["margin"] == pytest.approx(total, rel=1e-6)
    assert margin["worst_scenario"] == "scan:12"
    value = 3 * LOT * (call(S, HIGH, 1, DAYS) - call(S, LOW, 1, DAYS))
    assert margin["net_option_value"] == pytest.approx(value, rel=1e-9)
    credited = run(
        tmp_path, "[collateral]\ncredit_option_value = true\n", a={"NEAR": 1.0, "FAR": -2.0, "LOW": -3.0, "HIGH": 3.0}
    )
    assert row(credited.margin, account="a")["requirement"] == pytest.approx(total - value, rel=1e-6)
    said = [(x, 0) for x in (*FUTURE, *low, *high, *losses, worst, adjusted, time, adjusted - time, worst - adjusted)]
    said += [(near, 2), (far, 0), (net, 2), (wfpr, 2), (charge, 0), (total, 0), (total - value, 0), (value, 0)]
    said += [(composite_delta(strike), 4) for strike in (LOW, HIGH)]
    said += [(call(S, strike, 1, DAYS), 2) for strike in (LOW, HIGH)]
    assert missing(*((abs(n), digits) for n, digits in said)) == []


def test_example_of_the_short_option_minimum(tmp_path):
    # Calls so far from the money that the scan sees little of them cost the minimum.
    result = run(tmp_path, b={"WING": -4.0})
    scan = row(result.tables["scan"], account="b")
    wing = [w * 4 * LOT * (call(S * (1 + x), 28_000, 1 + v, DAYS - 1) - call(S, 28_000, 1, DAYS)) for x, v, w in GRID]
    assert scan["scan_risk"] == pytest.approx(max(wing), rel=1e-9)
    assert scan["scan_risk"] < 120_000
    assert row(result.margin, account="b")["scan"] == pytest.approx(4 * 0.03 * LOT * S) == 120_000
    assert missing((max(wing), 0), (120_000, 0)) == []


def test_example_of_a_credit(tmp_path):
    result = run(tmp_path, CREDIT, a={"NEAR": 2.0, "BANK": -3.0})
    index, banks = 100 * 0.093 * S, 75 * 0.093 * 45_000
    # min(100/1, 75/0.5) = 100 spreads: 100 of the index and 50 of the banks.
    found = [row(result.tables["scan"], underlying=u)["inter_commodity_credit"] for u in ("INDEX", "BANKS")]
    credits = [0.5 * 100 * 0.093 * S, 0.5 * 50 * 0.093 * 45_000]
    assert found == pytest.approx(credits, rel=1e-9)
    total = index + banks - sum(credits)
    assert row(result.margin, account="a")["scan"] == pytest.approx(total, rel=1e-9)
    assert missing(*((n, 0) for n in (index, banks, *credits, total))) == []
