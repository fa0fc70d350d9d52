"""[sources]: tables that come from elsewhere than the book's folder."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from gpu_var.tables.config_base import ConfigTable, contradiction, expected
from gpu_var.tables.source_secrets import secrets_in

_SOURCE = 'a URI or path, or a table such as { database = "postgresql", query = "select * from positions" }'
_ENVIRONMENT = "the environment: name a variable that holds the URI by uri_env"
_STORES = "the environment (AWS_SECRET_ACCESS_KEY, GOOGLE_APPLICATION_CREDENTIALS, …)"

DEFAULT_ENV = {"postgresql": "GPU_VAR_POSTGRESQL_URI", "sqlite": "GPU_VAR_SQLITE_URI", "duckdb": "GPU_VAR_DUCKDB_URI"}
"""The variable that says where a database is, unless `uri` or `uri_env` does."""


class Source(ConfigTable):
    """Where one table comes from: files (`uri`), or a database's answer to a query.

    Text alone is a `uri`. Credentials never stand here, only in the environment.
    """

    uri: Annotated[str | None, expected("a URI such as 's3://bucket/positions/', or a path", min_length=1)] = None
    database: Annotated[
        Literal["postgresql", "sqlite", "duckdb"] | None, expected("'postgresql', 'sqlite' or 'duckdb'")
    ] = None
    query: Annotated[str | None, expected("a query in SQL, such as 'select * from positions'", min_length=1)] = None
    uri_env: Annotated[
        str | None,
        expected("the name of an environment variable, such as 'RISK_DB_URI'", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _without_credentials(cls, data: Any) -> Any:
        """Text is a URI. Refused here, where no message has shown it yet: a password."""
        if isinstance(data, str):
            data = {"uri": data}
        if isinstance(data, dict):
            for key, value in data.items():
                if isinstance(value, str) and key != "query" and secrets_in(value):
                    where = _ENVIRONMENT if "database" in data or re.match("postgres", value) else _STORES
                    raise contradiction(key, f"holds credentials; expected them in {where}")
        return data

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.database is None:
            if self.query is not None or self.uri_env is not None:
                raise contradiction("database", "missing; expected 'postgresql', 'sqlite' or 'duckdb'")
            if self.uri is None:
                raise contradiction("", f"names no source; expected {_SOURCE}")
            if re.match(r"(postgres(ql)?|sqlite|duckdb):", self.uri):
                raise contradiction("uri", f"is that of a database; expected {_SOURCE.partition(', or ')[2]}")
        elif self.query is None:
            raise contradiction("query", "missing; expected a query in SQL, such as 'select * from positions'")
        if self.uri is not None and self.uri_env is not None:
            raise contradiction("uri_env", "says the same as uri; expected one of them")
        return self

    @property
    def variable(self) -> str:
        """The environment variable that holds the database's URI where `uri` does not say it."""
        return self.uri_env or DEFAULT_ENV[self.database or "postgresql"]


_Table = Annotated[Source | None, expected(_SOURCE)]


class Sources(ConfigTable):
    """[sources]: by table of the book; those not named come from the folder."""

    positions: _Table = None
    instruments: _Table = None
    underlyings: _Table = None
    forwards: _Table = None
    vols: _Table = None
    rates: _Table = None
    fx: _Table = None
    history: _Table = None
    accounts: _Table = None
    collateral: _Table = None
    members: _Table = None

    @property
    def named(self) -> dict[str, Source]:
        """The tables that do not come from the folder."""
        return {name: source for name in type(self).model_fields if (source := getattr(self, name)) is not None}
