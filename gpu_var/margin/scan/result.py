"""What the scan says of every account and cell."""

from dataclasses import dataclass

import numpy as np

from gpu_var.tables.book import F8


@dataclass(frozen=True)
class ScanResult:
    """Base currency; losses and margins positive."""

    name: list[str]  # of the scenarios, "1" the first
    amount: F8  # (n_accounts,) not floored where that makes sense: what the scan brings to core
    worst_scenario: np.ndarray  # (n_accounts,) text, "scan:14"
    pnl: F8  # (n_accounts, n_scenarios) weighted, gains positive
    cell_amount: F8  # (n_cells,)
    columns: dict[str, F8]  # of each cell, for scan.parquet
