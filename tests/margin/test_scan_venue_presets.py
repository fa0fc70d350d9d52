"""The venues' presets through whole runs: each page's example, recomputed and found on the page."""

import math
import re
from statistics import NormalDist

import numpy as np
import pytest

import gpu_var as gv
from gpu_var.demo import write_demo
from gpu_var.tables import presets

AS_OF = "2026-01-05T00:00:00Z"
N = NormalDist().cdf


def black(forward, strike, years, vol, sign):
    """Black (1976), undiscounted, as a textbook writes it."""
    deviation = vol * math.sqrt(years)
    d1 = math.log(forward / strike) / deviation + deviation / 2
    return sign * (forward * N(sign * d1) - strike * N(sign * (d1 - deviation)))


def run(folder, preset, config="", *, underlying, instruments, positions, as_of=AS_OF, **tables):
    """Margin a book of one account "a"; a table is a list of lines, the first its header."""
    tables |= {
        "underlyings": ["underlying,currency,spot", underlying],
        "instruments": ["instrument,kind,underlying,multiplier,expiry,strike,right,settlement,iv", *instruments],
        "positions": ["account,instrument,quantity", *(f"a,{name},{q!r}" for name, q in positions.items())],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    (folder / "margin.toml").write_text(f'preset = "{preset}"\nas_of = {as_of}\nbase_currency = "USD"\n{config}')
    loaded = gv.Config.load(folder / "margin.toml")
    return gv.run(gv.read_book(folder, loaded), loaded, backend="cpu")


def column(result, name):
    return result.margin[name].to_pylist()[0]


def page(name):
    return (presets.FOLDER / f"{name}.md").read_text(encoding="utf-8")


def missing(name, *numbers):
    """The numbers that the page does not say; it may separate thousands by commas, and write − for -."""
    text = page(name).replace(",", "").replace("−", "-")
    return [n for n in numbers if not re.search(rf"(?<![\d.-]){re.escape(n)}(?!\d)", text)]


@pytest.mark.parametrize("name", ["deribit", "derive", "paradex", "tims", "tims_index"])
def test_each_has_a_page_that_says_style_and_sources(name):
    text = page(name)
    assert "style" in text.splitlines()[0]
    assert "## Sources" in text
    assert "## Example" in text


def test_deribit_example_is_the_documented_response(tmp_path):
    # API reference of private/pme/simulate, 2024-06-17: a perpetual and a future, sizes in BTC.
    spot, forward = 65_910.57, 67_371.75
    found = run(
        tmp_path,
        "deribit",
        underlying=f"BTC,USD,{spot}",
        instruments=["PERP,perpetual,BTC,1,,,,inverse,", "JUN,future,BTC,1,2024-06-28T08:00Z,,,inverse,"],
        positions={"PERP": 0.314538364 * spot, "JUN": -0.001187534 * forward},
        as_of="2024-06-17T10:22:20Z",
        forwards=["underlying,expiry,forward", f"BTC,2024-06-28T08:00Z,{forward}"],
    )
    # It rounds the worst case to nine digits before adding the roll shock.
    assert column(found, "core") / spot == pytest.approx(0.05968587238095239 + 0.00315725898, rel=1e-12)
    assert column(found, "initial") / spot == pytest.approx(0.06284313098, abs=5e-10)
    assert column(found, "maintenance") / spot == pytest.approx(0.050274504784, abs=5e-10)
    assert column(found, "core_model") == "scan"
    assert column(found, "worst_scenario") == "scan:1"
    assert missing("deribit", "0.05968587", "0.00315726", "0.06284313", "0.05027450") == []


def test_deribit_documented_vectors_through_the_engine(tmp_path):
    # The same response, `initial_risk_vectors` of the perpetual: nine prices three times, then eight tails.
    spot = 65_910.57
    found = run(
        tmp_path,
        "deribit",
        "[scan.damper]\namount = 0.0\n",
        underlying=f"BTC,USD,{spot}",
        instruments=["PERP,perpetual,BTC,1,,,,inverse,"],
        positions={"PERP": 0.314538364 * spot},
    )
    left, right = -0.05991206933333334, 0.043384601931034494
    nine = [left, -0.04289159509090909, -0.027351162086956524, -0.013105765166666668, 0.0]
    nine += [0.012097629384615385, 0.023299138074074074, 0.033700538999999995, right]
    documented = [*np.repeat(nine, 3), left, left, *[right] * 6]
    coins = found.measured.scan.pnl[0] / spot
    assert coins == pytest.approx(documented, rel=1e-9, abs=1e-15)


def grid(name):
    """(price move, volatility multiple, weight) of every scenario of a preset."""
    scan = gv.Config(preset=name, as_of=AS_OF, base_currency="USD").scan
    return [(m * scan.price_range, v, w) for m, v, w in scan.grid] + list(scan.extended)


def vol_factor(days, multiple, up, down):
    scale = (30 / max(days, 1)) ** (0.30 if days < 30 else 0.13)
    return 1 + scale * (up * multiple if multiple > 0 else down * multiple)


def test_deribit_short_call_by_hand(tmp_path):
    # A short call in coins, 15 days, twice out of the money: tails at a share of range/|move|, in coins at the range.
    spot, strike, days, vol = 60_000.0, 120_000.0, 15, 0.8
    found = run(
        tmp_path,
        "deribit",
        "[scan.damper]\namount = 0\n",
        underlying=f"BTC,USD,{spot}",
        instruments=[f"C,option,BTC,1,2026-01-20,{strike},call,inverse,{vol}"],
        positions={"C": -10.0},
        rates=["currency,expiry,rate", "USD,2026-01-20,0"],
    )
    losses, today = [], black(spot, strike, days / 365, vol, 1)
    for move, multiple, weight in grid("deribit"):
        price = black(spot * (1 + move), strike, days / 365, vol * vol_factor(days, multiple, 0.5, 0.25), 1)
        worth = today + weight * (price - today)
        losses.append(10 * (worth / (1 + max(-0.16, min(0.16, move))) - today))
    worst = int(np.argmax(losses))
    assert worst >= 27  # one of the tails
    assert column(found, "core") == pytest.approx(max(losses), rel=1e-9)
    assert column(found, "worst_scenario") == f"scan:{worst + 1}"


def test_deribit_holding_the_coin_asks_for_nothing(tmp_path):
    found = run(
        tmp_path,
        "deribit",
        underlying="BTC,USD,60000",
        instruments=["BTC,spot,BTC,1,,,,,"],
        positions={"BTC": 3.0},
    )
    assert column(found, "core") == pytest.approx(0.0, abs=1e-9)


def test_deribit_collateral_in_the_run(tmp_path):
    # Coins posted beside a short future of as many coins: in coins the future alone is at risk. Dollars are none.
    book = {
        "underlying": "BTC,USD,60000",
        "instruments": ["PERP,perpetual,BTC,1,,,,inverse,"],
        "positions": {"PERP": -60_000.0},
    }
    text = "[collateral]\nsimulate = true\nhaircuts = { BTC = 0.1 }\n"
    text += "[scan.contingency.roll]\nmin_move = 0.0\nannual_move = 0.0\n"
    for name, posted in (("coins", "a,BTC,1"), ("dollars", "a,USD,60000")):
        (tmp_path / name).mkdir()
        found = run(tmp_path / name, "deribit", text, collateral=["account,asset,quantity", posted], **book)
        assert column(found, "core") == pytest.approx(60_000 * 0.16 / 1.16)


def test_deribit_damper_lets_small_tails_go(tmp_path):
    book = {
        "underlying": "BTC,USD,60000",
        "instruments": ["C,option,BTC,1,2026-01-20,120000,call,inverse,0.8"],
        "positions": {"C": -10.0},
    }
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    damped = run(tmp_path / "one", "deribit", **book)
    whole = run(tmp_path / "two", "deribit", "[scan.damper]\namount = 0.0\n", **book)
    assert 0 < column(damped, "core") < column(whole, "core")
    assert column(damped, "worst_scenario") != column(whole, "worst_scenario")


DERIVE_BOOK = {
    "underlying": "ETH,USD,2000",
    "instruments": [
        "PERP,perpetual,ETH,1,,,,,",
        "C,option,ETH,1,2026-02-04,2200,call,,0.8",
        "P,option,ETH,1,2026-02-04,2200,put,,0.8",
    ],
    "forwards": ["underlying,expiry,forward", "ETH,2026-02-04,2000"],
    "rates": ["currency,expiry,rate", "USD,2026-02-04,0.05"],
}


def derive_value(forward, factor, calls, puts):
    """Of options at 2,200, 30 days, volatility 0.8, rate 5 %."""
    call, put = (black(forward, 2_200, 30 / 365, 0.8 * factor, sign) for sign in (1, -1))
    return math.exp(-0.05 * 30 / 365) * (calls * call + puts * put)


def derive_loss(move, multiple, perpetual, calls, puts):
    kept = 0.95 * math.exp(-(4 * 0.05 + 0.05) * 30 / 365)
    after = derive_value(2_000 * (1 + move), vol_factor(30, multiple, 0.45, 0.30), calls, puts)
    options = (kept * after if after > 0 else after) - derive_value(2_000, 1.0, calls, puts)
    return -(options + perpetual * 2_000 * move)


def test_derive_example(tmp_path):
    found = run(tmp_path, "derive", positions={"PERP": 1.0, "C": -2.0, "P": 1.0}, **DERIVE_BOOK)
    losses = {(round(m, 2), v): derive_loss(m, v, 1, -2, 1) for m, v, _ in grid("derive")}
    worst = max(losses, key=losses.__getitem__)
    static = (0.02 * 1 + 0.01 * 1) * 2_000  # the put covers one of the two calls
    today = derive_value(2_000, 1.0, -2, 1)
    basis = max(today - derive_value(2_100, 1.0, -2, 1), today - derive_value(1_900, 1.0, -2, 1))
    basis *= 0.25 + 0.01 * 30 / 365
    assert len(losses) == 23
    assert basis < losses[worst]
    assert column(found, "core") == pytest.approx(losses[worst] + static, rel=1e-10)
    assert column(found, "initial") == pytest.approx(1.3 * (losses[worst] + static), rel=1e-10)
    assert column(found, "maintenance") == pytest.approx(losses[worst] + static, rel=1e-10)
    numbers = [*losses.values(), today, static, losses[worst] + static, 1.3 * (losses[worst] + static)]
    assert missing("derive", *(f"{n:.2f}" for n in numbers)) == []


def test_derive_basis_is_the_least_where_the_grid_is_blind(tmp_path):
    # Long a call, short the same call's delta in perpetuals of a year's options: the forward alone moves.
    book = DERIVE_BOOK | {"positions": {"PERP": -0.5, "C": 1.0}}
    off = "[scan.contingency.static]\nperpetual = 0.0\nspot = 0.0\nshort_option = 0.0\n"
    flat = "[scan]\nprice_range = 1e-9\nvol_range = 0.0\nvol_range_down = 0.0\n[scan.discount]\nstatic = 1.0\n"
    flat += "rate_multiple = 0.0\nrate_add = 0.0\n"
    found = run(tmp_path, "derive", flat + off, **book)
    basis = derive_value(2_000, 1.0, 1, 0) - derive_value(1_900, 1.0, 1, 0)
    assert column(found, "core") == pytest.approx(basis * (0.25 + 0.01 * 30 / 365), rel=1e-6)


PARADEX_BOOK = {
    "underlying": "BTC,USD,80000",
    "instruments": ["PERP,perpetual,BTC,1,,,,,", "C,option,BTC,1,2026-02-04,100000,call,,0.5"],
    "forwards": ["underlying,expiry,forward", "BTC,2026-02-04,80000"],
}


def test_paradex_example(tmp_path):
    found = run(tmp_path, "paradex", positions={"PERP": 1.0, "C": -3.0}, **PARADEX_BOOK)
    losses = []
    for move, multiple, weight in grid("paradex"):
        sigma = 0.5 * vol_factor(30, multiple, 0.40, 0.22)
        call = black(80_000 * (1 + move), 100_000, 30 / 365, sigma, 1) - black(80_000, 100_000, 30 / 365, 0.5, 1)
        losses.append(-weight * (80_000 * move - 3 * call))
    assert len(losses) == 24
    assert column(found, "core") == pytest.approx(max(losses), rel=1e-10)
    assert column(found, "worst_scenario") == f"scan:{losses.index(max(losses)) + 1}"
    assert column(found, "maintenance") == pytest.approx(0.5 * max(losses), rel=1e-10)
    assert missing("paradex", *(f"{n:.2f}" for n in (*losses, max(losses) / 2))) == []


def test_paradex_least_margin_for_deltas(tmp_path):
    # A perpetual against its twin loses nothing on the grid; 1 % of one leg's notional remains.
    book = PARADEX_BOOK | {"instruments": [*PARADEX_BOOK["instruments"], "TWIN,perpetual,BTC,1,,,,,"]}
    found = run(tmp_path, "paradex", positions={"PERP": 2.0, "TWIN": -2.0}, **book)
    assert column(found, "core") == pytest.approx(0.01 * 2 * 80_000)
    assert missing("paradex", "1600.00") == []


def test_tims_example(tmp_path):
    found = run(
        tmp_path,
        "tims",
        underlying="XYZ,USD,50",
        instruments=["XYZ,spot,XYZ,1,,,,,", "P,option,XYZ,100,2026-02-04,45,put,,0.4"],
        positions={"XYZ": 100.0, "P": 1.0},
    )
    today = black(50, 45, 30 / 365, 0.4, -1)
    losses = []
    for i in range(10):
        price = 50 * (1 - 0.15 + 0.30 * i / 9)
        losses.append(100 * (50 - price) + 100 * (today - black(price, 45, 30 / 365, 0.4, -1)))
    assert column(found, "core") == pytest.approx(max(losses), rel=1e-9)
    assert missing("tims", *(f"{n:.2f}" for n in (*losses, 100 * today))) == []


def test_tims_least_margin_per_contract(tmp_path):
    # Two calls sold so far away that ten prices lose next to nothing, and one bought for less than $37.50.
    found = run(
        tmp_path,
        "tims",
        underlying="XYZ,USD,50",
        instruments=["C,option,XYZ,100,2026-01-15,90,call,,0.3", "P,option,XYZ,100,2026-02-04,45,put,,0.4"],
        positions={"C": -2.0, "P": 1.0},
    )
    value = 100 * black(50, 45, 30 / 365, 0.4, -1)
    loss = value - 100 * black(57.5, 45, 30 / 365, 0.4, -1)  # the put's, at +15 %
    least = 2 * 37.5 + min(37.5, value)
    assert column(found, "core") == pytest.approx(max(loss, least), rel=1e-9)
    assert least > loss
    assert missing("tims", f"{least:.2f}") == []


def test_tims_index_example(tmp_path):
    found = run(
        tmp_path,
        "tims_index",
        underlying="IDX,USD,5000",
        instruments=["F,future,IDX,50,2026-02-04,,,,", "C,option,IDX,100,2026-02-04,5200,call,,0.15"],
        positions={"F": 0.0, "C": -1.0},
        forwards=["underlying,expiry,forward", "IDX,2026-02-04,5000"],
    )
    today = black(5_000, 5_200, 30 / 365, 0.15, 1)
    moves = [-0.08 + 0.14 * i / 9 for i in range(10)]
    losses = [100 * (black(5_000 * (1 + m), 5_200, 30 / 365, 0.15, 1) - today) for m in moves]
    assert column(found, "core") == pytest.approx(max(losses), rel=1e-9)
    assert missing("tims_index", *(f"{n:.2f}" for n in losses), *(f"{100 * m:.2f}" for m in moves)) == []


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    return {path.name.split("-")[0]: path for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("book", "preset", "share"),
    [("deribit", "deribit", 0.8), ("deribit", "derive", 1 / 1.3), ("deribit", "paradex", 0.5), ("goog", "tims", None)],
)
def test_real_books(demo, book, preset, share):
    given = gv.Config.load(demo[book] / "margin.toml")
    config = gv.Config(preset=preset, as_of=given.as_of, base_currency=given.base_currency)
    found = gv.run(gv.read_book(demo[book], config), config, backend="cpu").margin.to_pydict()
    held = [i for i, worst in enumerate(found["worst_scenario"]) if worst is not None]
    assert len(held) >= 10
    assert set(found["status"]) == {"ok"}
    assert all(found["core"][i] > 0.0 for i in held)
    if share is not None:
        add_on = np.array(found["concentration"]) + np.array(found["liquidity"])
        core = [np.array(found[name]) - add_on for name in ("maintenance", "initial")]
        assert core[0] == pytest.approx(share * core[1])
