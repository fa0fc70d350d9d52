"""Sources that are files: local ones as they are, those of an object store copied, all hashed."""

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from gpu_var.tables.config_sources import Source
from gpu_var.tables.files import SUFFIXES
from gpu_var.tables.findings import Findings, escaped, listed
from gpu_var.tables.schema import FACTORS, Table
from gpu_var.tables.source_files import Fetched, Halt, Part, Spool, SpoolError, stamp
from gpu_var.tables.source_secrets import without_secrets

PART_SUFFIXES = (".parquet", ".arrow")
_BLOCK = 1 << 23
_AT_ONCE = 8  # objects
_CONNECT, _REQUEST, _RETRY = 10, 60, 30  # seconds
_NULL = "__HIVE_DEFAULT_PARTITION__"
_DATE = re.compile(r"\d{4}-?\d\d-?\d\d.*|(year|month|day|quarter|week)=.*", re.IGNORECASE)

_REMEDIES = {
    "s3": "credentials, region and endpoint in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE, "
    "AWS_REGION, AWS_ENDPOINT_URL) and permission to list and read it",
    "gs": "credentials in the environment (GOOGLE_APPLICATION_CREDENTIALS) and permission to list and read it",
}


class UnreachableError(Exception):
    """A source cannot be read; the message says why and what is expected."""


@dataclass(frozen=True)
class _Place:
    """A URI taken apart: what reads it, the path within, and how a path within is written as a URI."""

    system: fs.FileSystem
    path: str
    prefix: str  # what stands before a path: `s3://`
    local: bool
    remedy: str

    def shown(self, path: str) -> str:
        return escaped(f"{self.prefix}{path}", 300)


def fetch_files(
    table: Table, source: Source, book: Path, spool: Spool, findings: Findings, halt: Halt
) -> Fetched | None:
    """The files of a URI: one, all of a folder, or those that a pattern with `*` matches; None, with a finding.

    Objects are copied once, so that what is hashed is what is read, however often.
    """
    uri = source.uri or ""
    label = f"{table.name} ({escaped(without_secrets(uri.partition('?')[0]), 300)})"
    try:
        place = _place(uri, book)
        paths = _paths(place, table, label, findings)
        if not paths:
            return None
        constants = _constants(paths, table, label, findings)
        names = [label if path == place.path else f"{table.name} ({place.shown(path)})" for path in paths]
        if place.local:
            files = [Path(path) for path in paths]
            stamps = {file: stamp(file) for file in files}
            digests = [_hash(file) for file in files]
        else:
            stamps = {}
            files, digests = _copies(place, paths, spool.path / table.name, halt)
    except UnreachableError as error:
        findings.error(label, str(error), kind="source")
        return None
    parts = tuple(Part(*one) for one in zip(files, names, constants, strict=True))
    return Fetched(label, parts, dict(zip(names, digests, strict=True)), stamps, None if place.local else spool)


def _place(uri: str, book: Path) -> _Place:
    scheme = uri.partition("://")[0].lower() if "://" in uri else ""
    if not scheme:
        return _Place(fs.LocalFileSystem(), os.path.abspath(book / uri), "", True, "the path of a file or a folder")  # noqa: PTH100 - links stay
    if scheme == "file":
        path = unquote(urlsplit(uri.partition("?")[0]).path)
        return _Place(fs.LocalFileSystem(), path, "file://", True, "the path of a file or a folder")
    remedy = _REMEDIES.get(scheme, "credentials in the environment and permission to list and read it")
    with _reported(uri, remedy):
        if scheme == "s3":
            return _Place(*_s3(uri), "s3://", False, remedy)
        if scheme in ("gs", "gcs") and "retry_limit_seconds" not in uri:
            uri = f"{uri}{'&' if '?' in uri else '?'}retry_limit_seconds={_RETRY}"  # without one: a quarter of an hour
        base, question, options = uri.partition("?")
        star = base.partition("*")[0]  # no URI holds a star
        system, path = fs.FileSystem.from_uri(f"{star}{question}{options}")
        rest = base.removeprefix(star)
        slash = "/" if rest and star.endswith("/") and not path.endswith("/") else ""
        prefix = star.removesuffix("/").removesuffix(path.removesuffix("/"))
        return _Place(system, f"{path}{slash}{rest}".removesuffix("/"), prefix, False, remedy)


def _s3(uri: str) -> tuple[fs.S3FileSystem, str]:
    """Amazon's or any compatible store; parameters `region`, `endpoint_override`, `scheme` stand in the URI."""
    base, _, query = uri.partition("?")
    path = unquote(base.partition("://")[2]).removesuffix("/")
    given = {key: values[-1] for key, values in parse_qs(query).items()}
    unknown = given.keys() - {"region", "endpoint_override", "scheme", "anonymous"}
    if unknown:
        text = "expected region, endpoint_override, scheme or anonymous"
        raise UnreachableError(f"unknown parameter {listed(sorted(unknown))}; {text}")
    endpoint = (
        given.get("endpoint_override") or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    )
    region = given.get("region") or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None:
        region = "us-east-1" if endpoint else fs.resolve_s3_region(path.partition("/")[0])
    options = {"endpoint_override": endpoint} if endpoint else {}
    if given.get("scheme"):
        options["scheme"] = given["scheme"]
    system = fs.S3FileSystem(
        anonymous=given.get("anonymous") == "true",
        region=region,
        connect_timeout=_CONNECT,
        request_timeout=_REQUEST,
        **options,
    )
    return system, path


@contextlib.contextmanager
def _reported(shown: str, remedy: str) -> Iterator[None]:
    """What a store or file system says becomes `UnreachableError`, without credentials."""
    try:
        yield
    except FileNotFoundError as error:
        raise UnreachableError(f"no such file or folder; expected {remedy}") from error
    except (OSError, pa.ArrowException) as error:
        text = str(error.strerror if isinstance(error, OSError) and error.strerror else error)
        if "Unrecognized filesystem" in text:
            text = "unknown kind of URI; expected s3://, gs://, file:// or another that pyarrow's filesystems read"
            raise UnreachableError(text) from error
        reason = escaped(without_secrets(" ".join(text.split()), shown), 300)
        raise UnreachableError(f"cannot be read ({reason}); expected {remedy}") from error


def _paths(place: _Place, table: Table, label: str, findings: Findings) -> list[str]:
    """The files, in the order of their paths' bytes; findings for what does not belong there."""
    pattern = place.path
    base = pattern
    if "*" in pattern:
        base = pattern.partition("*")[0].rpartition("/")[0]
    with _reported(pattern, place.remedy):
        info = place.system.get_file_info(base)
        if info.type == fs.FileType.NotFound:
            raise UnreachableError(f"nothing there; expected {_what(table)}, or {place.remedy}")
        if info.type == fs.FileType.File and base == pattern:
            if not base.endswith(SUFFIXES):
                raise UnreachableError(f"a file of an unknown kind; expected its name to end in {', '.join(SUFFIXES)}")
            return [base]
        found = place.system.get_file_info(fs.FileSelector(base, recursive=True))
    files = [one.path for one in found if one.type == fs.FileType.File]
    if base != pattern:
        wanted = _pattern(pattern)
        files = [path for path in files if wanted.fullmatch(path)]
    ignored, parts = [], []
    for path in sorted(files, key=os.fsencode):
        within = path.removeprefix(base).strip("/")
        if any(name.startswith((".", "_")) for name in within.split("/")):  # as _SUCCESS, which writers leave behind
            ignored.append(f"{place.prefix}{path}")
        elif path.endswith(PART_SUFFIXES):
            parts.append(path)
        else:
            text = "neither Parquet nor Arrow; expected nothing but parts in Parquet or Arrow here"
            findings.error(label, text, place=f"{table.name} ({place.shown(path)})", kind="part")
    if ignored:
        findings.note(f"ignored files: {listed(ignored)}")
    if not parts:
        what = "matches no files" if base != pattern else "a folder without parts"
        findings.error(label, f"{what}; expected {_what(table)}", kind="empty")
    return parts


def _what(table: Table) -> str:
    return f"a file, or a folder with the parts of {table.name} in Parquet or Arrow"


def _pattern(pattern: str) -> re.Pattern[str]:
    """`*` stands for any characters of one name, `**/` for any folders."""
    pieces = re.split(r"(\*\*/|\*)", pattern)
    words = {"**/": "(?:[^/]+/)*", "*": "[^/]*"}
    return re.compile("".join(words.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)


def _constants(paths: list[str], table: Table, label: str, findings: Findings) -> list[tuple[tuple[str, str], ...]]:
    """The columns that folders named `key=value` hold, of each file; those of no column of the table are left out."""
    out: list[tuple[tuple[str, str], ...]] = []
    others: dict[str, set[str]] = {}
    for path in paths:
        keys: dict[str, str] = {}
        for folder in path.split("/")[:-1]:
            key, equals, value = folder.partition("=")
            value = "" if value == _NULL else unquote(value)
            if equals and (key in table.names or (table.name == "history" and key.partition(":")[0] in FACTORS)):
                keys[key] = value
            elif equals:
                others.setdefault(key, set()).add(value)
        out.append(tuple(keys.items()))
    for key, values in others.items():
        known = ", ".join(escaped(value) for value in sorted(values)[:3])
        if len(values) > 1 and any(_DATE.fullmatch(v) or _DATE.fullmatch(f"{key}={v}") for v in values):
            text = (
                f"the parts of {len(values):,} values of {escaped(key)} ({known}{', …' if len(values) > 3 else ''}), "
                f"which is no column of {table.name}; expected those of one day: name its folder, as in …/"
                f"{escaped(key)}={escaped(max(values))}/"
            )
            findings.error(label, text, kind="partition")
        else:
            findings.note(f"ignored columns: {escaped(key)} ({label}, in the names of folders)")
    return out


def _hash(file: Path) -> str:
    with _reported(str(file), "a file that may be read"), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _copies(place: _Place, paths: list[str], folder: Path, halt: Halt) -> tuple[list[Path], list[str]]:
    """The objects' copies here, and their SHA-256."""
    folder.mkdir()
    files = [folder / f"{at:06}{Path(path).suffix}" for at, path in enumerate(paths)]

    def copy(at: int) -> str:
        digest = hashlib.sha256()
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(files[at].open("wb"))
            with _reported(paths[at], place.remedy):
                stream = stack.enter_context(place.system.open_input_stream(paths[at]))
            while True:
                halt.check()
                with _reported(paths[at], place.remedy):
                    block = stream.read(_BLOCK)
                if not block:
                    return digest.hexdigest()
                digest.update(block)
                try:
                    target.write(block)
                except OSError as error:
                    raise SpoolError(files[at], error) from error

    with ThreadPoolExecutor(min(_AT_ONCE, len(paths))) as pool:
        return files, list(pool.map(copy, range(len(paths))))
