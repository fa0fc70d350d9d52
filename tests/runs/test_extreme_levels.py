"""Levels that no market has: numbers or a reason, never a crash, and the other accounts are margined."""

from pathlib import Path

import gpu_var as gv
from gpu_var.report.page import render


def test_a_spot_near_the_largest_number(tmp_path: Path) -> None:
    (tmp_path / "positions.csv").write_text("account,instrument,quantity\nA,HUGE,1\nB,USUAL,1\n")
    (tmp_path / "instruments.csv").write_text(
        "instrument,kind,underlying,strike,right,expiry,iv\n"
        "HUGE,option,X,1e300,call,2026-06-01,0.3\n"
        "USUAL,option,Y,100,call,2026-06-01,0.3\n"
    )
    (tmp_path / "underlyings.csv").write_text("underlying,currency,spot\nX,USD,1e300\nY,USD,100\n")
    (tmp_path / "margin.toml").write_text(
        'as_of = 2026-01-05\nbase_currency = "USD"\n[[stress.scenario]]\nname = "fall"\nshocks = { "spot:*" = -0.3 }\n'
    )
    config = gv.Config.load(tmp_path / "margin.toml")
    run = gv.run(gv.read_book(tmp_path, config), config)
    huge, usual = run.margin.to_pylist()
    assert usual["status"] == "ok"
    assert 0 < usual["core"] < 30
    if huge["status"] == "ok":
        assert abs(huge["core"] / (usual["core"] * 1e298) - 1) < 1e-9
    else:
        assert "not finite" in huge["status"]
    assert "<bdi>A</bdi>" in render(run)  # a page can be made of it
