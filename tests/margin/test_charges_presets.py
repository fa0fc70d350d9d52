"""The worked examples of the presets `stans` and `irm2`, run by the code; each figure stands in the preset's page."""

from pathlib import Path

import numpy as np
import pytest
from scipy import optimize, stats

import gpu_var as gv
from gpu_var.tables.presets import FOLDER

N_DAYS = 2600
LONG_BOTH, SPREAD = {"A": 100, "B": 200}, {"A": 100, "B": -200}
T_SCALE = np.sqrt(3 / 5)  # Student t with 5 degrees of freedom has variance 5/3


def write(folder: Path, preset: str, side: list[int], **accounts: dict[str, int]) -> Path:
    """Spots A at 100 and B at 50: A moves by ±1 % every day, B by ±2 %, to the side of A or not as `side` says."""
    folder.mkdir()
    (folder / "margin.toml").write_text(
        f'preset = "{preset}"\nas_of = 2026-01-05\nbase_currency = "USD"\nreturns = "simple"\n'
    )
    (folder / "underlyings.csv").write_text("underlying,currency,spot\nA,USD,100\nB,USD,50\n")
    (folder / "instruments.csv").write_text("instrument,kind,underlying\nA,spot,A\nB,spot,B\n")
    rows = [f"{account},{name},{q}\n" for account, held in accounts.items() for name, q in held.items()]
    (folder / "positions.csv").write_text("account,instrument,quantity\n" + "".join(rows))
    half = len(side) // 2
    up = np.resize(np.repeat([1, -1], half), N_DAYS)
    moves = np.stack([0.01 * up, 0.02 * up * np.resize(side, N_DAYS)], axis=1)
    levels = np.vstack([np.ones(2), np.cumprod(1 + moves, axis=0)]).tolist()
    dates = np.datetime64("2026-01-05") - np.arange(N_DAYS + 1)[::-1]
    lines = [f"{date},{a!r},{b!r}\n" for date, (a, b) in zip(dates, levels, strict=True)]
    (folder / "history.csv").write_text("date,spot:A,spot:B\n" + "".join(lines))
    return folder


def margins(folder: Path) -> dict[str, dict[str, float]]:
    config = gv.Config.load(folder / "margin.toml")
    run = gv.run(gv.read_book(folder, config), config, backend="cpu", threads=1)
    return {row["account"]: row for row in run.margin.to_pylist()}


def page(preset: str) -> str:
    return (FOLDER / f"{preset}.md").read_text(encoding="utf-8")


def es_of_sum(a: float, b: float) -> float:
    """ES 99 % of a·T₁ + b·T₂, independent Student t of 5 degrees and unit variance, by integrating over T₁."""
    t = stats.t(5)
    u = t.ppf((np.arange(400_000) + 0.5) / 400_000)

    def above(x: float) -> float:
        return float(t.sf((x / T_SCALE - a * u) / b).mean())

    q = optimize.brentq(lambda x: above(x) - 0.01, 0.0, 20 * (a + b))
    z = (q / T_SCALE - a * u) / b
    # E[T; T > z] = (5 + z²)/4·f(z).
    return float(T_SCALE * (a * u * t.sf(z) + b * (5 + z * z) / 4 * t.pdf(z)).mean() / 0.01)


def closed(law: str) -> dict[str, dict[str, float]]:
    """Base, perfect, zero and add-on of the two accounts, in closed form but for the sum of two Student t."""
    a, b = 10_000 * 0.01 * np.sqrt(2), 10_000 * 0.02 * np.sqrt(2)
    c = 2.6652142 if law == "normal" else 4.4524291 * T_SCALE
    zero = c * np.hypot(a, b) if law == "normal" else es_of_sum(a, b)
    out = {}
    for name, sign in (("long both", 1), ("spread", -1)):
        base, perfect = c * np.sqrt(a * a + b * b + sign * 2 * 0.6 * a * b), c * abs(a + sign * b)
        out[name] = {"base": base, "perfect": perfect, "zero": zero, "add-on": 0.25 * (max(perfect, zero) - base)}
    return out


@pytest.mark.parametrize("law", ["normal", "student_t"])
def test_the_figures_of_stans(law):
    for account, figures in closed(law).items():
        line = f"| {account} | " + " | ".join(f"{x:,.2f}" for x in figures.values()) + " |"
        assert line in page("stans"), line


def test_stans_runs_to_its_closed_forms(tmp_path):
    # The same side on eight days of ten, and opposite ones on two: a correlation of 0.6.
    side = [1, 1, 1, 1, -1] * 2
    found = margins(write(tmp_path / "book", "stans", side, **{"long both": LONG_BOTH, "spread": SPREAD}))
    for account, figures in closed("student_t").items():
        row = found[account]
        assert row["core"] == row["mc_es"] == pytest.approx(figures["base"], abs=3 * row["mc_es_se"])
        # Two estimates of the same size as the base's, a quarter of their difference.
        assert row["dependence"] == pytest.approx(figures["add-on"], abs=0.25 * 3 * np.sqrt(2) * row["mc_es_se"] * 1.5)
        assert row["margin"] == pytest.approx(row["core"] + row["dependence"])
        printed = " | ".join(f"{row[column]:,.2f}" for column in ("mc_es", "mc_es_se", "dependence", "margin"))
        assert f"| {account} | {printed} |" in page("stans"), printed


def test_irm2(tmp_path):
    # Opposite sides every day: a gain of one is half a loss of the other.
    held = {"long both": LONG_BOTH, "only A": {"A": 100}}
    found = margins(write(tmp_path / "book", "irm2", [-1, -1], **held))
    both, alone = found["long both"], found["only A"]
    assert both["core"] == pytest.approx(abs(100 - 200), rel=1e-4)
    assert both["diversification"] == pytest.approx((1 - 0.8) * (100 + 200 - 100), rel=1e-4)
    assert both["procyclicality"] == pytest.approx(0.25 * 100, rel=1e-4)
    assert both["margin"] == pytest.approx(165, rel=1e-4)
    assert alone["diversification"] == 0
    assert alone["margin"] == pytest.approx(125, rel=1e-4)
    for account, row in found.items():
        columns = ("core", "diversification", "procyclicality", "margin")
        assert f"| {account} | " + " | ".join(f"{row[column]:,.2f}" for column in columns) + " |" in page("irm2")
