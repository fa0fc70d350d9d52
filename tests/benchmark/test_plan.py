"""What `gpu-var bench` makes of its measurements, and the command on a machine without a GPU."""

import json
import math
from pathlib import Path

import pytest

from gpu_var.benchmark import functions, plan
from gpu_var.benchmark.clock import Timing, timed
from gpu_var.cli import main
from gpu_var.cuda.device import unavailable

no_gpu = pytest.mark.skipif(unavailable() is None, reason="there is a GPU here, and the command would measure it")


def book(revaluations: int, cpu: float | None, cuda: float | None, underlyings: int = 1) -> dict[str, object]:
    def side(seconds: float | None) -> dict[str, object]:
        if seconds is None:
            return {"skipped": "would take some 9 hours"}
        return {"seconds": {"median": seconds}, "per_second": revaluations / seconds}

    row = {"revaluations": revaluations, "instruments": revaluations // 10, "scenarios": 10, "underlyings": underlyings}
    return row | {"cpu": side(cpu), "cuda": side(cuda)}


def test_a_timing_is_the_median_and_the_quartiles() -> None:
    assert Timing.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Timing(3.0, 2.0, 4.0, 5)


def test_timing_waits_for_the_device_after_every_run() -> None:
    calls: list[str] = []
    timed(lambda: calls.append("run"), lambda: calls.append("wait"), runs=3, budget=60.0, warm_up=2)
    assert calls == ["run", "wait"] * 5


def test_once_is_timed_even_where_there_is_no_time() -> None:
    assert timed(lambda: None, budget=0.0).runs == 1


def test_the_gpu_wins_from_between_two_books_in_proportion() -> None:
    # Ratios 1/2, 2, 8: even half-way between the first two on a logarithmic scale, at 10^5 · √10.
    books = [book(10**5, 1.0, 2.0), book(10**6, 4.0, 2.0), book(10**7, 16.0, 2.0)]
    assert plan.wins_from(books) == pytest.approx(10**5.5)


def test_a_gpu_that_falls_behind_again_wins_only_after_that() -> None:
    books = [book(10**5, 2.0, 1.0), book(10**6, 1.0, 2.0), book(10**7, 4.0, 1.0)]
    assert 10**6 < (plan.wins_from(books) or 0) < 10**7


@pytest.mark.parametrize(
    ("books", "expected"),
    [
        ([book(10**5, 2.0, 1.0), book(10**6, 4.0, 1.0)], 10.0**5),
        ([book(10**5, 2.0, 1.0), book(10**6, 1.0, 2.0)], None),
        ([book(10**5, 2.0, None)], None),
        ([], None),
    ],
)
def test_the_gpu_wins_everywhere_or_nowhere(books: list[dict[str, object]], expected: float | None) -> None:
    assert plan.wins_from(books) == expected


def test_the_verdict_names_the_ratio_and_where_it_begins() -> None:
    out = {"machine": {"threads": 8}, "books": [book(10**5, 1.0, 2.0), book(10**6, 4.0, 2.0)]}
    out["wins_from"] = plan.wins_from(out["books"])
    text = plan.verdict(out)
    assert text.startswith("The GPU is 2.0 times as fast as 8 threads on a book of 100,000 options in 10 scenarios")
    assert "from some 316,228 revaluations on" in text


def test_the_verdict_says_where_the_gpu_is_not_worth_it() -> None:
    out = {"machine": {"threads": 8}, "books": [book(10**5, 1.0, 4.0)], "wins_from": None}
    assert "not worth it" in plan.verdict(out)
    assert "4.0 times" in plan.verdict(out)


def test_a_book_is_expected_to_take_what_its_fits_and_its_revaluations_take() -> None:
    # 0.5 s an underlying and 1 s a million revaluations.
    known = [book(10**6, 1.5, None, 1), book(4 * 10**6, 6.5, None, 5)]
    size = plan.Size(100_000, 100, 10, 1000, 20)
    assert plan._expected(size, known, "cpu") == pytest.approx(20 * 0.5 + 10.0)
    assert plan._expected(size, known[:1], "cpu") == pytest.approx(1.5 * 20)
    assert plan._expected(size, known, "cuda") == math.inf
    assert plan._expected(size, [], "cuda") == 0.0


@no_gpu
def test_the_command_writes_what_it_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(functions, "SHAPES", {"cpu": (6, 40)})
    monkeypatch.setattr(functions, "_OTHERS", {"cpu": 2000})
    monkeypatch.setattr(plan, "MOONSHOT", plan.Size(10**6, 10**4, 10**4, 10**7, 50))
    monkeypatch.setattr(plan.bench, "__kwdefaults__", {"budget": 5.0, "sizes": (plan.Size(40, 30, 4, 100, 1),)})
    assert main(["bench", "--out", str(tmp_path / "b"), "--seconds", "5", "--quiet"]) == 0
    result = json.loads((tmp_path / "b" / "bench.json").read_text())
    assert result["schema"] == plan.SCHEMA
    assert {row["function"] for row in result["functions"]["cpu"]} >= {"revalue american", "aggregate", "filter"}
    row = result["books"][0]
    assert row["cpu"]["seconds"]["runs"] >= 1
    assert row["cpu"]["per_second"] == pytest.approx(row["revaluations"] / row["cpu"]["seconds"]["median"])
    assert "no GPU was measured" in result["verdict"]
    assert result["verdict"] in (tmp_path / "b" / "bench.html").read_text()
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "4"], "--seconds 4; expected 5 to 3600"),
        (["--threads", "0"], "--threads 0; expected at least 1"),
        (["--out", __file__], "is a file; give a folder"),
    ],
)
def test_bad_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err
