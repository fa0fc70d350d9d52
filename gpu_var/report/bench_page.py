"""The page of `gpu-var bench`: self-contained; tables, throughput against size, shares of the ceilings."""

from typing import Any

from markupsafe import Markup
from plotly.offline import get_plotlyjs

from gpu_var.report.bench_words import FUNCTION, UNIT, one_thread, rate, seconds, share
from gpu_var.report.templates import embedded, templates, verbatim

SIDES = {
    "cpu": ("one core", "#2f5d8a"),
    "cuda": ("GPU, float64", "#7a9e5f"),
    "cuda_float32": ("GPU, float32", "#d08c2e"),
}


def render(result: dict[str, Any]) -> str:
    """The page as HTML.

    Args:
        result: of `benchmark.plan.bench`.
    """
    sides = [side for side in SIDES if side in result["functions"]]
    by_name = {side: {row["function"]: row for row in result["functions"][side]} for side in sides}
    measured = [row for row in result["books"] if "seconds" in row["cpu"] or "seconds" in row.get("cuda", {})]
    return (
        templates()
        .get_template("bench.html")
        .render(
            result=result,
            machine=result["machine"],
            gpu="device" in result["machine"],
            sides=[(side, SIDES[side][0]) for side in sides],
            functions=[
                (FUNCTION.get(name, name), [by_name[side].get(name) for side in sides]) for name in by_name["cpu"]
            ],
            books=result["books"],
            ceilings=[
                (side, UNIT[name], value) for side, of in result["ceilings"].items() for name, value in of.items()
            ],
            rate=rate,
            share=share,
            seconds=seconds,
            one_thread=one_thread,
            data=embedded(
                {
                    "functions": [
                        {
                            "name": SIDES[side][0],
                            "colour": SIDES[side][1],
                            "y": [FUNCTION.get(name, name) for name in by_name[side]],
                            "share": [100.0 * row["share"] for row in by_name[side].values()],
                            "rate": [row["per_second"] for row in by_name[side].values()],
                        }
                        for side in sides
                    ],
                    "books": [
                        _line(measured, side, name) for side, name in (("cpu", "CPU, all threads"), ("cuda", "GPU"))
                    ],
                }
            ),
            script=verbatim("bench.js"),
            style=verbatim("page.css"),
            plotly=Markup(get_plotlyjs()),
        )
    )


def _line(books: list[dict[str, Any]], side: str, name: str) -> dict[str, Any]:
    rows = [row for row in books if "seconds" in row.get(side, {})]
    times = [row[side]["seconds"] for row in rows]
    return {
        "name": name,
        "colour": SIDES[side][1],
        "x": [row["revaluations"] for row in rows],
        "y": [time["median"] for time in times],
        "above": [time["upper"] - time["median"] for time in times],
        "below": [time["median"] - time["lower"] for time in times],
    }
