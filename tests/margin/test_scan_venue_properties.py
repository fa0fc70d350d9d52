"""What must hold for every venue's preset, whatever is held."""

import numpy as np
import pytest

import gpu_var as gv

EXPIRIES = ("2026-01-12", "2026-02-04", "2026-12-25")
STRIKES = (1_600, 1_900, 2_000, 2_100, 2_600)
HEADER = "instrument,kind,underlying,multiplier,expiry,strike,right,settlement,iv"
INSTRUMENTS = {
    "SPOT": "SPOT,spot,ETH,1,,,,,",
    "PERP": "PERP,perpetual,ETH,1,,,,,",
    "FUT": "FUT,future,ETH,1,2026-02-04,,,,",
    **{
        f"{right[0]}{strike}-{e}": f"{right[0]}{strike}-{e},option,ETH,1,{e},{strike},{right},,0.{7 + i}"
        for i, e in enumerate(EXPIRIES)
        for strike in STRIKES
        for right in ("call", "put")
    },
}
PRESETS = ("deribit", "derive", "paradex", "tims", "tims_index")
NO_DAMPER = "[scan.damper]\namount = 0.0\n"  # a damper lets two portfolios' losses go once each


def write(folder, positions):
    """Write a book of {account: {instrument: quantity}}."""
    rows = [f"{account},{name},{q!r}" for account, held in positions.items() for name, q in held.items() if q]
    tables = {
        "underlyings": ["underlying,currency,spot", "ETH,USD,2000"],
        "instruments": [
            "instrument,kind,underlying,multiplier,expiry,strike,right,settlement,iv",
            *INSTRUMENTS.values(),
        ],
        "positions": ["account,instrument,quantity", *rows],
        "forwards": ["underlying,expiry,forward", *(f"ETH,{e},{2000 + 20 * i}" for i, e in enumerate(EXPIRIES))],
        "rates": ["currency,expiry,rate", "USD,2026-02-04,0.04"],
    }
    for name, lines in tables.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def margins(folder, preset, text=""):
    """The accounts' margins, by name."""
    top = f'preset = "{preset}"\nas_of = 2026-01-05\nbase_currency = "USD"\n'
    (folder / "margin.toml").write_text(top + text)
    config = gv.Config.load(folder / "margin.toml")
    found = gv.run(gv.read_book(folder, config), config, backend="cpu").margin.to_pydict()
    return dict(zip(found["account"], found["margin"], strict=True))


@pytest.fixture
def parts(tmp_path):
    """Sixty pairs of portfolios, a and b, and c = a + b."""
    rng = np.random.default_rng(20260105)
    names = list(INSTRUMENTS)
    positions = {}
    for i in range(60):
        one, other = (
            dict(zip(rng.choice(names, 4, replace=False).tolist(), rng.integers(-9, 10, 4).tolist(), strict=True))
            for _ in "ab"
        )
        both = {n: one.get(n, 0) + other.get(n, 0) for n in (*one, *other)}
        positions |= {f"{i:02}a": one, f"{i:02}b": other, f"{i:02}c": both}
    return write(tmp_path, positions)


@pytest.mark.parametrize("preset", PRESETS)
def test_margins_are_sub_additive_over_sub_portfolios(parts, preset):
    found = margins(parts, preset, NO_DAMPER if preset == "deribit" else "")
    pairs = sorted(name[:-1] for name in found if name[-1] == "c")
    together = np.array([found[f"{pair}c"] for pair in pairs])
    apart = np.array([found.get(f"{pair}a", 0.0) + found.get(f"{pair}b", 0.0) for pair in pairs])
    assert len(together) >= 55
    assert (together <= apart + 1e-6).all()
    assert (together < apart * 0.9).any()


@pytest.mark.parametrize("preset", PRESETS)
def test_margins_grow_with_the_position(parts, preset):
    # Without a damper and caps, twice the position is twice the margin.
    text = NO_DAMPER if preset == "deribit" else ""
    once = margins(parts, preset, text)
    lines = (parts / "positions.csv").read_text().splitlines()
    (parts / "positions.csv").write_text("\n".join([lines[0], *lines[1:], *lines[1:]]) + "\n")
    twice = margins(parts, preset, text)
    assert [twice[a] for a in once] == pytest.approx([2 * m for m in once.values()], rel=1e-9, abs=1e-6)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_worse_grid_never_lowers_a_margin(parts, preset):
    scan = gv.Config(preset=preset, as_of="2026-01-05", base_currency="USD").scan
    rows = [list(row) for row in scan.extended]
    rows += [[-0.9, 1.0, 1.0], [0.9, -1.0, 1.0]]
    text = NO_DAMPER if preset == "deribit" else ""
    before = margins(parts, preset, text)
    after = margins(parts, preset, f"[scan]\nextended = {rows}\n{text}")
    assert all(after[a] >= before[a] - 1e-9 for a in before)
    assert any(after[a] > before[a] * 1.01 for a in before)


def test_less_discount_is_less_margin(parts):
    dear = margins(parts, "derive")
    cheap = margins(parts, "derive", "[scan.discount]\nstatic = 1.0\n")
    assert all(cheap[a] <= dear[a] + 1e-9 for a in dear)
    assert any(cheap[a] < dear[a] - 1.0 for a in dear)


@pytest.mark.parametrize("preset", PRESETS)
def test_an_exact_offset_leaves_no_scan_risk(tmp_path, preset):
    # A synthetic future against the future: put-call parity leaves a loss of nothing, up to what is discounted.
    held = {"FUT": -1.0, "c2000-2026-02-04": 1.0, "p2000-2026-02-04": -1.0}
    off = "[scan.discount]\nstatic = 1.0\nrate_multiple = 0.0\nrate_add = 0.0\n" if preset == "derive" else ""
    folder = write(tmp_path, {"a": held, "b": {"FUT": -1.0}})
    (folder / "rates.csv").unlink()
    top = f'preset = "{preset}"\nas_of = 2026-01-05\nbase_currency = "USD"\n'
    (folder / "margin.toml").write_text(top + off)
    config = gv.Config.load(folder / "margin.toml")
    risk = gv.run(gv.read_book(folder, config), config, backend="cpu").measured.scan.columns["scan_risk"]
    # In coins, the 20 by which the option pair is worth something today is a position in dollars.
    least = 20 * 0.16 / 0.84 + 1e-9 if preset == "deribit" else 1e-9
    assert risk[0] <= least
    assert risk[1] > 100.0
