"""How many lines a user of each peer writes for a case: once, and with every option and date."""

from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DATA = ("portfolio.xml", "market.txt", "scenarios.csv", "instruments.csv", "positions.csv", "history.csv")
"""What grows with the book or the history; the rest is written once."""
COMMAND, PYTHON = 1, 4
"""`gpu-var run BOOK`, or `ore ore.xml`; the import, the book, the configuration, the run."""


def code(script: str) -> int:
    """Lines of a peer's script between `# user code` and `# end` that are neither blank nor comments."""
    text = (HERE / script).read_text().split("# user code", 1)[1].split("# end", 1)[0]
    return sum(1 for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))


def files(folder: Path) -> tuple[int, int]:
    """Lines of a folder of input: written once, and growing."""
    once = data = 0
    for path in folder.iterdir():
        count = len(path.read_text().splitlines())
        if path.name in DATA:
            data += count
        else:
            once += count
    return once, data


def of(script: str, case: dict[str, Any], book: Path, ore: Path | None) -> dict[str, int]:
    """`once` and `data` for a row; the data of a script's case are a line an option and a line a date."""
    if script == "gpu-var run":
        once, data = files(book)
        return {"once": once + COMMAND, "data": data}
    if script == "peer_gpu_var.py":
        once, data = files(book)
        return {"once": once + PYTHON, "data": data}
    if script == "peer_ore.py" and ore is not None:
        once, data = files(ore.parent)
        return {"once": once + COMMAND, "data": data}
    return {"once": code(script), "data": len(case["options"]["strike"]) + len(case["history"]["date"])}
