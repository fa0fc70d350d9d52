"""Open Source Risk Engine: its historical-simulation VaR on the folder that `ore_input.py` writes."""

import csv
import json
import platform
import sys
import time
from array import array
from importlib.metadata import version
from pathlib import Path
from typing import Any

BEGAN = time.perf_counter()

from ORE import OREApp, Parameters  # noqa: E402
from protocol import peak_mb  # noqa: E402


def run(master: str) -> None:
    """What the `ore` executable does."""
    parameters = Parameters()
    parameters.fromFile(master)
    app = OREApp(parameters)
    app.run()
    errors = list(app.getErrors())
    if errors:
        raise RuntimeError(f"ORE: {errors[:3]}")


def rows(path: Path) -> list[dict[str, str]]:
    """A report as dictionaries."""
    with path.open() as stream:
        return list(csv.DictReader(stream))


def answer(output: Path, matrix: Path, quantity: list[float]) -> None:
    """Prices and P&L of one contract; every trade must be there, for ORE leaves out what it cannot build or price."""
    npv = {row["#TradeId"]: float(row["NPV"]) for row in rows(output / "npv.csv")}
    pnl: dict[str, list[float]] = {}
    for row in rows(output / "historical_PnL.csv"):
        pnl.setdefault(row["#Portfolio"], []).append(float(row["PLAmount"]))
    names = [f"O{i:05d}" for i in range(len(quantity))]
    missing = [name for name in names if name not in npv or name not in pnl]
    if missing:
        raise RuntimeError(f"ORE left out {len(missing)} trades, the first {missing[0]}")
    with matrix.open("wb") as stream:
        array("d", (npv[name] / q for name, q in zip(names, quantity, strict=True))).tofile(stream)
        for name, q in zip(names, quantity, strict=True):
            array("d", (x / q for x in pnl[name])).tofile(stream)


def main() -> None:
    """Do what the request, the first argument, asks for."""
    imported = time.perf_counter()
    request = json.loads(Path(sys.argv[1]).read_text())
    output = Path(request["ore"]).parents[1] / "Output"
    run(request["ore"])
    ran = time.perf_counter()
    reply: dict[str, Any] = {
        "peer": "Open Source Risk Engine",
        "version": version("open-source-risk-engine"),
        "python": platform.python_version(),
        "import_s": imported - BEGAN,
        "start_s": 0.0,
        "run_s": ran - imported,
        "peak_mb": peak_mb(),
    }
    if request["task"] == "answer":
        quantity = json.loads(Path(request["case"]).read_text())["options"]["quantity"]
        answer(output, Path(request["matrix"]), quantity)
    else:
        reply["pnl"] = [float(row["PLAmount"]) for row in rows(output / "historical_PnL.csv")]
        (var,) = rows(output / "var.csv")
        reply["var"] = float(next(v for k, v in var.items() if k.startswith("Quantile")))
    Path(request["reply"]).write_text(json.dumps(reply))


if __name__ == "__main__":
    main()
