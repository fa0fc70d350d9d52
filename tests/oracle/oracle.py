"""Contract sections 4 to 6: from a book and a configuration to `margin`, `breakdown`, `price` and the P&L of accounts.

A book is a dictionary of tables; a table is a list of rows (dictionaries), `history` a dictionary of columns. A
configuration is what margin.toml holds. Monte Carlo draws are the product's own choice, so its scenarios come in
from outside: a list of {factor: shock}.
"""

import math
from collections import defaultdict
from typing import Any

from oracle.instruments import contract_pnl, net_delta, quote
from oracle.market import Market, markets
from oracle.measures import measures
from oracle.scenarios import Scenario, Shocked, factor_names, filtered_history

SHORT = {"fhs": "fhs", "monte_carlo": "mc"}
Row = dict[str, Any]


def price(book: Row, config: Row) -> list[Row]:
    """`gpu-var price`: a row an instrument, in the table's order."""
    by_name = markets(book, config)
    return [quote(row, by_name[row["underlying"]], config) for row in book["instruments"]]


class Run:
    """The whole of `gpu-var run`, an attribute a result."""

    def __init__(self, book: Row, config: Row, monte_carlo: list[Scenario] | None = None) -> None:
        self.book, self.config = book, config
        self.markets = markets(book, config)
        self.instruments = {row["instrument"]: row for row in book["instruments"]}
        self.quotes = {row["instrument"]: row for row in price(book, config)}
        self.quantities: dict[tuple[str, str], float] = defaultdict(float)
        for row in book["positions"]:
            self.quantities[row["account"], row["instrument"]] += row["quantity"]
        names = {account for account, _ in self.quantities} | {r["account"] for r in book.get("accounts", [])}
        self.accounts = sorted(names, key=lambda name: name.encode())
        held = {name for (_, name), quantity in self.quantities.items() if quantity != 0}
        self.held = [row for row in book["instruments"] if row["instrument"] in held]
        self.factors = factor_names(book, self.held, config["base_currency"])
        self.labels: dict[str, list[str]] = {}
        self.scenarios: dict[str, list[Scenario]] = {}
        if "fhs" in config:
            self.labels["fhs"], self.scenarios["fhs"] = filtered_history(book, config, self.factors)
        if monte_carlo is not None:
            self.labels["monte_carlo"] = [str(path) for path in range(len(monte_carlo))]
            self.scenarios["monte_carlo"] = monte_carlo
        self.unit_pnl = {model: self._unit_pnl(rows) for model, rows in self.scenarios.items()}
        owned = [key for key, quantity in self.quantities.items() if quantity != 0]
        self.cells = sorted({(account, self.instruments[name]["underlying"]) for account, name in owned})
        self.breakdown = {cell: self._cell(*cell) for cell in self.cells}
        self.pnl = {model: {a: self._pnl(model, a) for a in self.accounts} for model in self.scenarios}
        self.margin = {account: self._account(account) for account in self.accounts}

    def _unit_pnl(self, scenarios: list[Scenario]) -> dict[str, list[float]]:
        """instrument -> P&L of one contract in each scenario."""
        log = self.config.get("returns", "log") == "log"
        out: dict[str, list[float]] = {}
        for row in self.held:
            name, market = row["instrument"], self.markets[row["underlying"]]
            today = self.quotes[name]["price"]
            out[name] = [contract_pnl(row, today, Shocked(market, x, log), self.config) for x in scenarios]
        return out

    def _pnl(self, model: str, account: str, underlying: str | None = None) -> list[float]:
        """P&L of an account, or of one of its cells, in each scenario."""
        total = [0.0] * len(self.scenarios[model])
        for (owner, name), quantity in self.quantities.items():
            if owner != account or quantity == 0 or underlying not in (None, self.instruments[name]["underlying"]):
                continue
            total = [sum_ + quantity * unit for sum_, unit in zip(total, self.unit_pnl[model][name], strict=True)]
        return total

    def _measures(self, account: str, underlying: str | None = None) -> Row:
        """fhs_var … mc_worst, unfloored, and core with the model that it comes from."""
        out: Row = {}
        chosen = self.config.get("measure", "es")
        for model in self.scenarios:
            losses = [-x for x in self._pnl(model, account, underlying)]
            found = measures(losses, self.config.get("level", 0.99))
            for key in ("var", "es", "worst"):
                out[f"{SHORT[model]}_{key}"] = found[key]
            if model == "monte_carlo":
                out["mc_var_se"], out["mc_es_se"] = found["var_se"], found["es_se"]
            if "core" not in out or found[chosen] > out["core"]:
                worst = losses.index(max(losses))
                out |= {"core": found[chosen], "core_model": model}
                out["worst_scenario"] = f"{model}:{self.labels[model][worst]}"
        return out

    def _cell(self, account: str, underlying: str) -> Row:
        """A row of `breakdown`."""
        market = self.markets[underlying]
        out: Row = self._measures(account, underlying)
        sums = dict.fromkeys(("delta", "gamma", "vega", "theta", "net_option_value"), 0.0)
        buckets: dict[tuple[int, int], float] = defaultdict(float)
        for (owner, name), quantity in self.quantities.items():
            row, quoted = self.instruments[name], self.quotes[name]
            if owner != account or row["underlying"] != underlying:
                continue
            units = quantity * (1.0 if row.get("multiplier") is None else row["multiplier"])
            sums["delta"] += quantity * net_delta(row, quoted, market)
            for greek in ("gamma", "vega", "theta"):
                sums[greek] += units * quoted[greek]
            if row["kind"] == "option":
                sums["net_option_value"] += units * quoted["price"] * market.fx
                buckets[_bucket(quoted)] += units * quoted["vega"]
        out |= sums
        gross_vega = sum(abs(vega) for vega in buckets.values())
        out["liquidity_delta"] = (
            abs(sums["delta"]) * market.fx * market.half_spread * (1 if market.normal else market.spot)
        )
        out["liquidity_vega"] = market.fx * market.vol_half_spread * gross_vega
        out |= self._concentration(market, sums["delta"], gross_vega, out["core"])
        return out

    def _concentration(self, market: Market, delta: float, gross_vega: float, core: float) -> Row:
        participation = self.config.get("concentration", {}).get("participation", 0.25)
        h = self.config.get("holding_period_days", 1)
        days = 0.0
        if market.adv is not None:
            days = max(days, abs(delta) / (participation * market.adv))
        if market.vega_adv is not None:
            days = max(days, gross_vega / (participation * market.vega_adv))
        horizon = h if days <= h else h + (days - h) / 3
        charge = (math.sqrt(horizon / h) - 1) * max(0.0, core)
        return {"days_to_unwind": days, "horizon_days": float(horizon), "concentration": charge}

    def _account(self, account: str) -> Row:
        """A row of `margin`."""
        cells = [self.breakdown[cell] for cell in self.cells if cell[0] == account]
        found = self._measures(account)
        floored = {key: max(0.0, x) for key, x in found.items() if isinstance(x, float) and not key.endswith("_se")}
        out = {**found, **floored, "account": account, "currency": self.config["base_currency"], "status": "ok"}
        out["concentration"] = sum(cell["concentration"] for cell in cells)
        out["liquidity"] = sum(cell["liquidity_delta"] + cell["liquidity_vega"] for cell in cells)
        out["net_option_value"] = sum(cell["net_option_value"] for cell in cells)
        out["margin"] = out["core"] + out["concentration"] + out["liquidity"]
        if not cells:
            out["core_model"] = out["worst_scenario"] = None
        return out


def _bucket(quoted: Row) -> tuple[int, int]:
    days = round(quoted["t"] * 365, 9)  # 30 days are 30 days, whatever floating point makes of 30/365·365
    delta = quoted["bucket_delta"]
    maturity = 0 if days <= 30 else 1 if days <= 90 else 2 if days <= 365 else 3
    return maturity, 0 if delta < 0.25 else 1 if delta <= 0.75 else 2
