"""What is wrong with the input, collected over every table and reported in one go."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

PER_KIND = 10
IN_ALL = 100
VALUE_CHARACTERS = 80
LISTED = 5
DISTANCE = 2


class InputError(ValueError):
    """The input is wrong. `findings` holds all that is, and the text is its lines."""

    def __init__(self, findings: "Findings") -> None:
        self.findings = findings
        super().__init__("\n".join(findings.lines()))


@dataclass
class _Group:
    """The findings of one table, column and kind: the first few in words, the others counted."""

    place: str
    shown: list[str] = field(default_factory=list)
    count: int = 0


class Findings:
    """Collects findings (errors: nothing is computed) and notes (said, and the run goes on)."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str, str], _Group] = {}
        self._notes: dict[str, None] = {}

    def error(self, table: str, text: str, *, place: str = "", column: str = "", kind: str = "") -> None:
        """One finding: where (`table` is a file's name, `place` more exactly, as in ``fx.csv line 3``) and what."""
        self.errors_at(table, [place or table], lambda _: text, column=column, kind=kind or text)

    def errors_at(
        self,
        table: str,
        places: Sequence[str],
        text: Callable[[int], str],
        *,
        column: str = "",
        kind: str,
        count: int | None = None,
    ) -> None:
        """Findings of one kind: `places` of the first of them, ``text(i)`` for the i-th, `count` of all of them."""
        name = escaped(column)
        where = f", column {name}" if column else ""
        group = self._groups.setdefault((table, column, kind), _Group(f"{table}{where}"))
        room = max(PER_KIND - len(group.shown), 0)
        group.shown += [f"{place}{where}: {text(i)}" for i, place in enumerate(places[:room])]
        group.count += len(places) if count is None else count

    def note(self, text: str) -> None:
        """Something to be said; the same words are said once."""
        self._notes[text] = None

    def include(self, others: "Findings") -> None:
        """Add what others have found, and their notes."""
        for key, theirs in others._groups.items():
            group = self._groups.setdefault(key, _Group(theirs.place))
            group.shown += theirs.shown[: max(PER_KIND - len(group.shown), 0)]
            group.count += theirs.count
        self._notes |= others._notes

    @property
    def notes(self) -> list[str]:
        return list(self._notes)

    @property
    def errors(self) -> list[str]:
        """The findings in words, without the prefix `error: `; at most ten a table, column and kind."""
        return [text for group in self._groups.values() for text in group.shown]

    @property
    def count(self) -> int:
        """The number of findings, those not shown included."""
        return sum(group.count for group in self._groups.values())

    def lines(self) -> list[str]:
        """The report: a finding a line, what was left out, and the closing line; nothing where all is well."""
        if not self._groups:
            return []
        lines: list[str] = []
        room = IN_ALL
        for group in self._groups.values():
            if not room:
                lines.append(f"… the first {IN_ALL} of {self.count:,} errors are shown")
                break
            shown = group.shown[:room]
            room -= len(shown)
            lines += [f"error: {text}" for text in shown]
            if group.count > len(shown):
                lines.append(f"… and {group.count - len(shown):,} more like it ({group.place})")
        tables = len({table for table, _, _ in self._groups})
        lines.append(f"{_plural(self.count, 'error')} in {_plural(tables, 'table')}; nothing was written")
        return lines

    def raise_if_any(self) -> None:
        """Raise `InputError` where there is a finding."""
        if self._groups:
            raise InputError(self)


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def escaped(text: str, characters: int = VALUE_CHARACTERS) -> str:
    """The text cut at so many characters, those that do not print escaped: safe on a terminal and in a log."""
    cut = text[:characters]
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in cut)
    return safe + ("…" if len(text) > characters else "")


def shown(value: object) -> str:
    """A value as messages show it: text in quotation marks, numbers bare."""
    return f"'{escaped(value)}'" if isinstance(value, str) else escaped(str(value))


def listed(names: Iterable[str]) -> str:
    """The first names and the number of the others."""
    known = list(names)
    text = ", ".join(escaped(name) for name in known[:LISTED])
    more = len(known) - LISTED
    return f"{text} and {more:,} more" if more > 0 else text


def distance(a: str, b: str) -> int:
    """Levenshtein's edit distance: insertions, deletions and substitutions (1966)."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (x != y))
    return row[-1]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant: it differs in case only, or by at most two edits; None without one."""
    best: tuple[int, str] | None = None
    for candidate in known:
        if name.lower() == candidate.lower():
            return candidate
        if abs(len(name) - len(candidate)) > DISTANCE:
            continue
        edits = distance(name, candidate)
        # A two-letter name is two edits from any other: that is no misspelling.
        if edits <= DISTANCE and edits < len(candidate) and (best is None or edits < best[0]):
            best = edits, candidate
    return best[1] if best else None
