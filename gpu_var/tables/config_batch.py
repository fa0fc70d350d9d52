"""[batch]: the parts that a run is done in. A sum is taken part by part, so these touch its last digits."""

from typing import Annotated

from gpu_var.tables.config_base import ConfigTable, expected


class Batch(ConfigTable):
    """[batch]: how large the parts of a run are, each of which is kept when it is done."""

    shard_revaluations: Annotated[int, expected("a whole number from 1 to 10**12", ge=1, le=10**12)] = (
        200_000_000  # revaluations that are lost at most when a run is interrupted
    )
    chunk_megabytes: Annotated[int, expected("a whole number from 1 to 1,000,000", ge=1, le=1_000_000)] = (
        1_024  # profit and loss of accounts that is held at a time
    )
