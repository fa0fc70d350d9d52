"""[[scan.inter_month]], [[scan.delivery]], [[scan.inter_commodity]]: what a scan charges and credits beside a grid."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gpu_var.tables.config_base import ConfigTable, contradiction, expected

EVERY = "*"
"""In place of an underlying's name: all that have no entry of their own in the list."""

Ratio = Annotated[float, Field(ge=-1e9, le=1e9)]
TierLeg = Annotated[tuple[Annotated[int, Field(ge=0, le=100)], Ratio], Field(strict=False)]
UnderlyingLeg = Annotated[tuple[str, Ratio], Field(strict=False)]

Priority = Annotated[int, expected("a whole number from 1 to 1,000,000, the first formed first", ge=1, le=1_000_000)]
Underlying = Annotated[str, expected('an underlying, or "*" for all that have no entry of their own', min_length=1)]
ChargeIn = Annotated[Literal["flat", "price", "range", "wfpr"], expected("'flat', 'price', 'range' or 'wfpr'")]
Charge = Annotated[
    float,
    expected("a number from 0 to 1e15, in the underlying's currency, or with charge_in a share up to 1", ge=0, le=1e15),
]


class InterMonth(ConfigTable):
    """[[scan.inter_month]]: a spread between tiers of expiries, and what it is charged.

    The charge of a spread is money in the underlying's currency (`flat`), or a share of what a unit of the underlying
    costs (`price`), of its price range (`range`), or of its weighted futures price risk (`wfpr`), which is 0 where the
    deltas of all expiries cancel.
    """

    underlying: Underlying = EVERY
    priority: Priority = 1
    legs: Annotated[
        tuple[TierLeg, ...],
        expected(
            "a list of 2 to 20 [tier from 0 to 100, delta per spread from -1e9 to 1e9], sides of opposite sign; "
            "tier 0 is spot and perpetuals",
            strict=False,
            max_length=20,
        ),
    ]
    charge: Charge
    charge_in: ChargeIn = "flat"

    @model_validator(mode="after")
    def _agrees(self) -> "InterMonth":
        _several(self.legs)
        ratios = [ratio for _, ratio in self.legs]
        if not min(ratios) < 0.0 < max(ratios) or 0.0 in ratios:
            raise contradiction("legs", "have no two opposite sides; expected ratios of both signs, none of them 0")
        _share("charge", self.charge, self.charge_in)
        return self


class Delivery(ConfigTable):
    """[[scan.delivery]]: what is charged on the deltas of expiries that are close, in the units of `InterMonth`."""

    underlying: Underlying = EVERY
    days: Annotated[float, expected("a number with 0 < days <= 1e6", gt=0, le=1e6)]
    spread: Charge = 0.0  # for a delta that stands in an inter-month spread
    outright: Charge = 0.0  # for one that does not
    charge_in: ChargeIn = "flat"

    @model_validator(mode="after")
    def _agrees(self) -> "Delivery":
        _share("spread", self.spread, self.charge_in)
        _share("outright", self.outright, self.charge_in)
        return self


class InterCommodity(ConfigTable):
    """[[scan.inter_commodity]]: a spread between underlyings, and the share of their price risk that it is credited."""

    priority: Priority = 1
    legs: Annotated[
        tuple[UnderlyingLeg, ...],
        expected(
            "a list of 2 to 20 [underlying, delta per spread from -1e9 to 1e9], opposite sides of opposite sign",
            strict=False,
            max_length=20,
        ),
    ]
    credit: Annotated[float, expected("a number from 0 to 1", ge=0, le=1)]

    @model_validator(mode="after")
    def _agrees(self) -> "InterCommodity":
        _several(self.legs)
        names = [name for name, _ in self.legs]
        if len(set(names)) < len(names):
            raise contradiction("legs", "name an underlying twice; expected one leg an underlying")
        if any(ratio == 0.0 for _, ratio in self.legs):
            raise contradiction("legs", "have a ratio of 0; expected deltas per spread that are not 0")
        return self


def _several(legs: tuple[object, ...]) -> None:
    if len(legs) < 2:
        raise contradiction("legs", f"are {len(legs)}; expected 2 to 20")


def _share(key: str, charge: float, charge_in: str) -> None:
    if charge_in != "flat" and charge > 1.0:
        raise contradiction(key, f"{charge:g} is out of range; expected at most 1 with charge_in '{charge_in}'")
