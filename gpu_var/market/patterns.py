"""Patterns over the names of factors, as a shell's: ``*`` any text, ``?`` any character, ``[ab]`` one of these."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from gpu_var.tables.findings import distance

_WILD = "*?["


def matches(pattern: str, name: str) -> bool:
    """Whether a pattern means a factor; a factor's own name always does, whatever characters it has."""
    return pattern == name or fnmatchcase(name, pattern)


def is_name(pattern: str) -> bool:
    """Whether a pattern has no wildcard, and so is a name."""
    return not any(character in pattern for character in _WILD)


def most_specific(name: str, patterns: Iterable[str]) -> str | None:
    """The pattern that says most about a name: the name itself, then the pattern with the most characters that are no
    wildcards, the last on ties; None where none matches.
    """
    known = [pattern for pattern in patterns if matches(pattern, name)]
    return max(reversed(known), key=lambda p: (p == name, sum(c not in _WILD for c in p)), default=None)


def nearest_name(pattern: str, names: Sequence[str]) -> str | None:
    """The name that takes the fewest edits to make of the pattern, the first on ties; None without names."""
    return min(names, key=lambda name: distance(pattern, name), default=None)
