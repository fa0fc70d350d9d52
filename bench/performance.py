"""The performance page, bench/PERFORMANCE.md and its plots, from measurements alone.

    gpu-var bench --seconds 1500 --out bench/results/MACHINE   # bench.json
    python bench/field/run.py                                  # bench/results/field.json
    bench/gpu.sh                                               # bench/results/DEVICE-COMMIT.json, where there is a GPU
    python bench/performance.py bench/results/MACHINE

Needs `pip install ".[bench]"`. A section whose measurement is not there says which command makes it.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import jinja2
import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from gpu_var.report.bench_words import FUNCTION, UNIT, one_thread, rate, seconds, share

HERE = Path(__file__).resolve().parent
PLOTS = "plots"
SIDES = {
    "cpu": ("one core", "#2f5d8a"),
    "cuda": ("GPU, float64", "#7a9e5f"),
    "cuda_float32": ("GPU, float32", "#d08c2e"),
}


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("results", type=Path, help="folder with the bench.json of a machine")
    parser.add_argument("--field", type=Path, default=HERE / "results" / "field.json")
    parser.add_argument("--out", type=Path, default=HERE)
    arguments = parser.parse_args()
    bench = json.loads((arguments.results / "bench.json").read_text())
    field = json.loads(arguments.field.read_text()) if arguments.field.is_file() else None
    devices = [json.loads(path.read_text()) for path in sorted((HERE / "results").glob("nvidia-*.json"))]
    page = write(arguments.out, bench, field, devices)
    print(page)


def write(out: Path, bench: dict[str, Any], field: dict[str, Any] | None, devices: list[dict[str, Any]]) -> Path:
    """The page and its plots.

    Args:
        out: folder of PERFORMANCE.md; plots go beside it.
        bench: bench.json of `gpu-var bench`.
        field: of `bench/field/run.py`.
        devices: of `bench/gpu.sh`.
    """
    plots = out / PLOTS
    plots.mkdir(parents=True, exist_ok=True)
    mpl.rcParams.update({"svg.hashsalt": "gpu-var", "font.size": 9, "axes.grid": True, "grid.color": "#e5e8ec"})
    save(throughput(bench), plots / "throughput.svg")
    save(roofline(bench), plots / "roofline.svg")
    if scaled(bench):
        save(scaling(bench), plots / "scaling.svg")
    for case in [] if field is None else field["cases"]:
        save(peers(case), plots / f"{case['name']}.svg")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    text = environment.get_template("performance.md.jinja").render(
        bench=bench,
        field=field,
        devices=devices,
        scaled=scaled(bench),
        sides=[(side, name) for side, (name, _) in SIDES.items() if side in bench["functions"]],
        function=lambda name: FUNCTION.get(name, name),
        rate=rate,
        share=share,
        seconds=seconds,
        one_thread=one_thread,
        span=span,
        amount=amount,
        unit=UNIT,
        plots=PLOTS,
    )
    page = out / "PERFORMANCE.md"
    page.write_text(text)
    return page


def save(figure: Any, path: Path) -> None:
    """The same bytes for the same numbers."""
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def span(of: dict[str, Any] | None) -> str:
    """`1.52 s (1.39 to 1.58, 20 runs)` of a timing of the field; a dash for none."""
    return "–" if of is None else seconds({"seconds": of})


def amount(value: float) -> str:
    """`30 million` a second, or `1.16 s` of a whole process."""
    return rate(value) if value >= 1000 else f"{value:.3g} s"


def throughput(bench: dict[str, Any]) -> Any:
    """Revaluations a second against the size of the book."""
    figure, axes = plt.subplots(figsize=(6.5, 3.4))
    for side, name in (("cpu", f"CPU, {bench['machine']['threads']} threads"), ("cuda", "GPU")):
        rows = [row for row in bench["books"] if "seconds" in row.get(side, {})]
        if not rows:
            continue
        x = [row["revaluations"] for row in rows]
        times = [row[side]["seconds"] for row in rows]
        y = [n / t["median"] for n, t in zip(x, times, strict=True)]
        low = [a - n / t["upper"] for a, n, t in zip(y, x, times, strict=True)]
        high = [n / t["lower"] - a for a, n, t in zip(y, x, times, strict=True)]
        axes.errorbar(x, y, yerr=[low, high], marker="o", capsize=3, label=name, color=SIDES[side][1])
    axes.set(xscale="log", yscale="log", xlabel="revaluations of the book", ylabel="revaluations a second")
    axes.legend()
    return figure


def roofline(bench: dict[str, Any]) -> Any:
    """Double-precision operations a second against operations a byte, under the ceilings (Williams et al. 2009)."""
    sides = [side for side in ("cpu", "cuda") if side in bench["functions"]]
    figure, all_axes = plt.subplots(1, len(sides), figsize=(6.5, 3.6), squeeze=False)
    for axes, side in zip(all_axes[0], sides, strict=True):
        ceiling = bench["ceilings"][side]
        intensity = [2.0**i for i in range(-3, 8)]
        axes.plot(intensity, [min(ceiling["fma_fp64"], ceiling["copy"] * i) for i in intensity], color="#6b7785")
        rows = [row for row in bench["functions"][side] if "fma_fp64" in row["needs"]]
        for at, row in enumerate(rows):
            operations, moved = row["needs"]["fma_fp64"], row["needs"]["copy"]
            axes.plot(operations / moved, operations * row["per_second"], "o", color=f"C{at}", label=row["function"])
        axes.set(xscale="log", yscale="log", xlabel="operations a byte", title=SIDES[side][0])
        axes.set_ylabel("operations a second")
    all_axes[0][-1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5))
    return figure


def scaled(bench: dict[str, Any]) -> list[dict[str, Any]]:
    """The books that were measured on fewer threads too: size, and speed relative to one thread by threads."""
    out = []
    for row in bench["books"]:
        fewer = row["cpu"].get("fewer_threads", {})
        if "1" not in fewer:
            continue
        alone = fewer["1"]["median"]
        speed = {int(n): alone / of["median"] for n, of in fewer.items()}
        speed[bench["machine"]["threads"]] = alone / row["cpu"]["seconds"]["median"]
        out.append({"instruments": row["instruments"], "scenarios": row["scenarios"], "speed": speed})
    return out


def scaling(bench: dict[str, Any]) -> Any:
    """Speed against threads."""
    figure, axes = plt.subplots(figsize=(5, 3.2))
    most = bench["machine"]["threads"]
    axes.plot([1, most], [1, most], color="#6b7785", linestyle="--", label="in proportion")
    for of in scaled(bench):
        name = f"{of['instruments']:,} × {of['scenarios']:,}"
        axes.plot(list(of["speed"]), list(of["speed"].values()), marker="o", label=name)
    axes.set(xlabel="threads", ylabel="speed, relative to one thread")
    axes.legend()
    return figure


def peers(case: dict[str, Any]) -> Any:
    """Revaluations a second of everybody in a case of the field."""
    rows = [row for row in case["rows"] if row["status"] == "ok" and row["rate"]]
    rows.sort(key=lambda row: row["rate"])
    figure, axes = plt.subplots(figsize=(6.5, 0.6 + 0.3 * len(rows)))
    own = ["#2f5d8a" if row["key"].startswith("gpu_var") else "#b9c4d0" for row in rows]
    names = [f"{row['label']}, {row['threads']} thread{'s' * (row['threads'] > 1)}" for row in rows]
    bars = axes.barh(names, [row["rate"] for row in rows], color=own)
    axes.bar_label(bars, [rate(row["rate"]) for row in rows], padding=3)
    axes.set(xscale="log", xlabel="revaluations a second", title=case["name"])
    axes.margins(x=0.25)
    return figure


if __name__ == "__main__":
    main()
