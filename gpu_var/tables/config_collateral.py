"""[collateral], [initial] and [maintenance]: what is posted, what is asked for, and where an account stands."""

from typing import Annotated

from pydantic import model_validator

from gpu_var.tables.config_base import ConfigTable, contradiction, expected

ANY = "*"
"""The haircut of every asset but the base currency that has none of its own."""

Haircut = Annotated[float, expected("a number from 0 (counts in full) to 1 (worthless)", ge=0, le=1)]


class Collateral(ConfigTable):
    """[collateral]: how much of the assets that an account has posted counts."""

    haircuts: Annotated[
        dict[str, Haircut],
        expected(
            'a table of assets and the share that does not count, from 0 to 1, such as { BTC = 0.15, "*" = 1.0 }',
            default_factory=dict,
        ),
    ]
    simulate: Annotated[bool, expected("true or false")] = False
    credit_option_value: Annotated[bool, expected("true or false")] = False

    def haircut(self, asset: str, base_currency: str) -> float | None:
        """The share of an asset's market value that does not count; None where none is given.

        The asset's own haircut goes before that of "*", and the base currency counts in full unless it has its own.
        """
        return self.haircuts.get(asset, 0.0 if asset == base_currency else self.haircuts.get(ANY))


class Initial(ConfigTable):
    """[initial]: the initial margin, a multiple of core with the add-ons and charges as they are."""

    factor: Annotated[float, expected("a number from 1 to 10", ge=1, le=10)] = 1.0


class Maintenance(ConfigTable):
    """[maintenance]: the margin below which an account is liquidated, by a factor or by a level of its own."""

    factor: Annotated[
        float | None, expected("a number with 0 < factor <= 10, at most that of [initial]", gt=0, le=10)
    ] = None
    level: Annotated[
        float | None, expected("a number with 0.5 <= level < 1, at most the model's level", ge=0.5, lt=1)
    ] = None

    @model_validator(mode="after")
    def _agrees(self) -> "Maintenance":
        if self.factor is None and self.level is None:
            raise contradiction("factor", "missing; expected it, or a level")
        if self.factor is not None and self.level is not None:
            raise contradiction("level", f"{self.level:g} does not go with a factor; expected one of the two")
        return self


def agree(
    initial: Initial | None, maintenance: Maintenance | None, *, level: float, measure: str, has_tail: bool
) -> None:
    """That the maintenance margin cannot exceed the initial one, and that its level says something.

    Args:
        level: of the models' measures.
        measure: "var", "es" or "worst".
        has_tail: whether a model is enabled that has measures at a level, [fhs] or [monte_carlo].

    Raises:
        PydanticCustomError: the key to change, and what is wrong with it.
    """
    if maintenance is None:
        return
    most = 1.0 if initial is None else initial.factor
    if maintenance.factor is not None and maintenance.factor > most:
        text = f"{maintenance.factor:g} is above the initial margin's; expected at most {most:g}, the factor of it"
        raise contradiction("maintenance.factor", text)
    if maintenance.level is None:
        return
    if maintenance.level > level:
        text = f"{maintenance.level:g} is above the level of the initial margin; expected at most {level:g}"
        raise contradiction("maintenance.level", text)
    if measure == "worst" or not has_tail:
        why = "measure 'worst' has no level" if measure == "worst" else "no model is enabled that has a level"
        raise contradiction("maintenance.level", f"{maintenance.level:g} changes nothing, for {why}; expected a factor")
