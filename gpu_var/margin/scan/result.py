"""What passes between the parts of the scan, and what it says of every account and cell."""

from dataclasses import dataclass, field

import numpy as np

from gpu_var.tables.book import F8, I8


@dataclass(frozen=True)
class RiskArrays:
    """Profit and loss on the grid by group, that is by account, underlying and expiry; base currency, gains positive.

    Groups are ascending by (underlying, account, expiry), so those of a cell stand together; spot and perpetuals are
    the group of no expiry, the first of its cell. Every option keeps its own volatility (sticky strike), which the
    grid's volatility moves then shift.
    """

    cell: I8  # (n_groups,) row of `Cells`
    expiry: I8  # (n_groups,) microseconds since 1970 UTC, NO_EXPIRY for spot and perpetuals
    pnl: F8  # (n_groups, n_scenarios) without the scenarios' weights
    value: F8  # (n_groups,) what options and spot are worth today; futures and perpetuals 0
    composite_delta: F8  # (n_groups,) signed units of the underlying
    probe: F8  # (n_groups, n_probes) in the markets that contingencies asked for, which are no scenarios


@dataclass(frozen=True)
class ScanResult:
    """Base currency; losses and margins positive."""

    name: list[str]  # of the scenarios, "1" the first
    amount: F8  # (n_accounts,) what the scan brings to core; "joint" without a short option minimum: not floored
    worst_scenario: np.ndarray  # (n_accounts,) text, "scan:14"
    pnl: F8  # (n_accounts, n_scenarios) weighted, gains positive
    cell_amount: F8  # (n_cells,) of each cell alone, that is without credits
    columns: dict[str, F8]  # of each cell, for scan.parquet
    failed: dict[int, str] = field(default_factory=dict)  # cell -> why its numbers are none
    notes: list[str] = field(default_factory=list)
