"""What the comparison was to show: ratios of the same figure, on the same number of cores."""

from collections.abc import Callable
from typing import Any

Figure = Callable[[dict[str, Any]], float | None]


def rate(row: dict[str, Any]) -> float | None:
    """Revaluations a second, net of start-up."""
    value: float | None = row["rate"]
    return value


def whole(row: dict[str, Any]) -> float | None:
    """Seconds of a whole process."""
    return None if row["whole"] is None else float(row["whole"]["median"])


def of(cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A record a comparison that both rows were measured for."""
    at = {(case["exercise"], case["options"], row["key"]): row for case in cases for row in case["rows"]}
    out: list[dict[str, Any]] = []

    def add(what: str, ours: Any, theirs: Any, figure: Figure, wanted: float, more_is_better: bool = True) -> None:
        a, b = at.get(ours), at.get(theirs)
        if a is None or b is None or a["status"] != "ok" or b["status"] != "ok":
            return
        x, y = figure(a), figure(b)
        if x is None or y is None:
            return
        ratio = x / y if more_is_better else y / x
        record = {"what": what, "gpu_var": x, "peer": y, "ratio": ratio, "wanted": wanted, "met": ratio >= wanted}
        out.append(record | {"rows": [ours[2], theirs[2]]})

    for n in sorted({row["threads"] for row in at.values()}):
        cores = f"{n} core{'s' if n > 1 else ''}"
        for size, text in ((1000, "1,000 × 1,000"), (10_000, "10,000 × 500")):
            api, ore = ("european", size, f"gpu_var_api_{n}"), ("european", size, f"ore_{n}")
            add(f"revaluations/s, ORE, {cores}, {text}", api, ore, rate, 100)
        command = ("european", 10_000, f"gpu_var_run_{n}")
        add(f"whole process, ORE, {cores}, 10,000 × 500", command, ore, whole, 15, more_is_better=False)
    for size in (1000, 10_000):
        ours = ("european", size, "gpu_var_api_1")
        theirs = ("european", size, "quantlib")
        add(f"revaluations/s a core, QuantLib's analytic engine, {size:,} options", ours, theirs, rate, 60)
    american = [row for (exercise, *_), row in at.items() if exercise == "american"]
    mine = next((row for row in american if row["key"] == "gpu_var_api_1"), None)
    if mine is not None and mine["difference"] is not None:
        # At equal accuracy: QuantLib's quickest scheme whose largest error is no larger than ours, else its quickest.
        schemes = [r for r in american if r["key"].startswith("quantlib_qdfp") and r["rate"] is not None]
        equal = [r for r in schemes if r["difference"] is not None and r["difference"] <= mine["difference"]]
        for row in sorted(equal or schemes, key=lambda r: -r["rate"])[:1]:
            what = (
                f"revaluations/s a core, {row['label']}; errors {mine['difference']:.1e} (gpu-var)"
                f" and {row['difference']:.1e} of S"
            )
            add(what, ("american", 1000, "gpu_var_api_1"), ("american", 1000, row["key"]), rate, 10)
    return out
