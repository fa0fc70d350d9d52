"""The scan: what an underlying's position loses on a grid of price and volatility moves."""

from gpu_var.margin.scan.method import scan
from gpu_var.margin.scan.result import RiskArrays, ScanResult

__all__ = ["RiskArrays", "ScanResult", "scan"]
