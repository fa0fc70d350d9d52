"""The small book with members, and scenarios to stress it with."""

from pathlib import Path

from cli.small import EMPTY, NAMES, write_book

SCENARIOS = """
library = ["grid:*"]
[[scenario]]
name = "crash <b>"
shocks = { "spot:*" = -0.60, "iv:*" = "+200%" }
spreads = 3.0
[resources]
own = 1000.0
"""


def write_house(folder: Path, scenarios: str | None = SCENARIOS) -> Path:
    """`write_book`, its accounts spread over two members and one that only stands in `members`."""
    write_book(folder)
    owners = ["alpha", "=1+1", "alpha", "=1+1", "alpha", "=1+1"]
    quoted = [f'"{name}"' for name in [*NAMES, EMPTY]]
    kinds = ["house", "house", "client", "client", "client", "client"]
    lines = [",".join(row) for row in zip(quoted, owners, kinds, strict=True)]
    (folder / "accounts.csv").write_text("\n".join(["account,member,kind", *lines]) + "\n", encoding="utf-8")
    (folder / "members.csv").write_text("member,group,contribution\nalpha,,500\n=1+1,,250\nidle,,100\n")
    if scenarios is not None:
        (folder / "scenarios.toml").write_text(scenarios)
    return folder
