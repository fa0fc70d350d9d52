"""Positions written as people write them, for the rules of strategies: one account, one underlying unless said."""

import numpy as np

from cpu_reference.types import FUTURE, OPTION, PERPETUAL, SPOT
from gpu_var.margin.compare import fully_collateralised, reg_t
from gpu_var.margin.compare.positions import Held
from gpu_var.tables.config_compare import RegT

AS_OF = 1_600_000_000_000_000
DAY = 86_400_000_000
NEAR, FAR = 30, 60  # days


def option(quantity, right, strike, price, days=NEAR, **more):
    """`quantity` units of the underlying."""
    terms = {"sign": 1.0 if right == "call" else -1.0, "strike": strike, "price": price, "expiry": AS_OF + days * DAY}
    return {"kind": OPTION, "units": quantity, **terms, **more}


def stock(quantity, **more):
    return {"kind": SPOT, "units": quantity, **more}


def future(quantity, perpetual=False, **more):
    return {"kind": PERPETUAL if perpetual else FUTURE, "units": quantity, "expiry": AS_OF + NEAR * DAY, **more}


def held(spot, *rows):
    """The columns of some positions; a row may say its own account, underlying, spot and fx."""
    defaults = {"account": 0, "underlying": 0, "spot": spot, "fx": 1.0, "sign": 0.0, "strike": np.nan, "expiry": 0}
    full = [{**defaults, **row} for row in rows]
    full = [{**row, "price": row.get("price", row["spot"]), "units": float(row["units"])} for row in full]
    column = {name: np.array([row[name] for row in full]) for name in [*defaults, "price", "kind", "units"]}
    units, fx, kind = column["units"], column["fx"], column["kind"]
    return Held(
        account=column["account"].astype(np.int64),
        instrument=np.arange(len(full)),
        underlying=column["underlying"].astype(np.int64),
        kind=kind.astype(np.int8),
        sign=column["sign"].astype(np.float64),
        quantity=units,
        units=units,
        strike=column["strike"].astype(np.float64),
        expiry=column["expiry"].astype(np.int64),
        spot=column["spot"].astype(np.float64),
        price=column["price"].astype(np.float64),
        notional=np.abs(units * column["spot"]) * fx,
        value=np.where((kind == OPTION) | (kind == SPOT), units * column["price"] * fx, 0.0),
        fx=fx.astype(np.float64),
    )


def reg_t_margins(positions, index=False, rules=None, n=1):
    """(n,) of the accounts."""
    broad = np.full(int(positions.underlying.max(initial=0)) + 1, index)
    return reg_t.margins(positions, rules or RegT(), broad, AS_OF, n)


def reg_t_margin(spot, *rows, **more):
    """Of one account."""
    return float(reg_t_margins(held(spot, *rows), **more)[0])


def requirement(spot, *rows, **more):
    """What the margin manual states first: with the premium of what is sold short."""
    positions = held(spot, *rows)
    short = positions.option & (positions.units < 0)
    return float(reg_t_margins(positions, **more)[0] - positions.value[short].sum())


def vault_margin(spot, *rows):
    """Fully collateralised, of one account."""
    return float(fully_collateralised.margins(held(spot, *rows), 1)[0])
