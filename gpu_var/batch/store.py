"""Results of shards, kept until the run is whole: each is written entirely or not at all, and checked when read."""

import contextlib
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
import numpy.typing as npt

from gpu_var.batch.errors import RunError, WriteError

Arrays = dict[str, npt.NDArray[Any]]
_MAGIC = b"gpu-var shard 1\n"
_DIGEST = hashlib.sha256().digest_size
_BLOCK = 1 << 20


class Store(Protocol):
    """Where results are kept."""

    scratch: Path | None
    """A folder for further files of the run, which go when it is whole; None: there is none."""

    def check(self, names: Iterable[str]) -> set[str]:
        """Those of `names` that are there, whole; what else is there goes."""

    def load(self, name: str) -> Arrays:
        """The result of that name, which `check` has found or `save` has kept."""

    def save(self, name: str, arrays: Arrays) -> bool:
        """Keep a result, and return whether `load` can give it back."""

    def drop(self, names: Iterable[str]) -> None:
        """Forget results."""


class Nowhere:
    """Keeps nothing: for runs that are not written to a folder."""

    scratch: Path | None = None

    def check(self, names: Iterable[str]) -> set[str]:  # noqa: ARG002 - as `Store` has it
        """None of them."""
        return set()

    def load(self, name: str) -> Arrays:
        """Raises `KeyError`: nothing is kept."""
        raise KeyError(name)

    def save(self, name: str, arrays: Arrays) -> bool:  # noqa: ARG002
        """Do nothing."""
        return False

    def drop(self, names: Iterable[str]) -> None:
        """Do nothing."""


class FolderStore:
    """Results as files of a folder.

    Args:
        folder: made when the first result is kept.
        token: what the run depends on; the result of any other run fails its check.

    `spoilt` are the names of the results that `check` has found broken, and removed.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self.scratch: Path | None = folder
        self._folder, self._token = folder, token.encode()
        self.spoilt: list[str] = []

    def check(self, names: Iterable[str]) -> set[str]:
        """Those of `names` that are there, whole; what else is there goes. Raises `WriteError`."""
        wanted, whole = set(names), set[str]()
        if not self._folder.is_dir():
            return whole
        for path in sorted(self._folder.iterdir()):
            with _at(path):
                if path.name in wanted and self._is_whole(path):
                    whole.add(path.name)
                    continue
                if path.name in wanted:
                    self.spoilt.append(path.name)
                path.unlink()
        return whole

    def load(self, name: str) -> Arrays:
        """The result of that name. Raises `RunError` where it has changed since it was checked or saved."""
        path = self._folder / name
        with _at(path):
            if not self._is_whole(path):
                raise RunError(f"{path} was changed by another process; run again with --resume")
            with path.open("rb") as stream:
                stream.seek(len(_MAGIC) + _DIGEST)
                return _arrays(stream, path.stat().st_size)

    def save(self, name: str, arrays: Arrays) -> bool:
        """Write a result aside, flush it to the disk, and rename it into place. Raises `WriteError`."""
        path = self._folder / name
        partial = path.with_name(f"{name}.part")
        with _at(path):
            try:
                self._folder.mkdir(exist_ok=True)
                with partial.open("wb") as stream:
                    self._write(stream, arrays, name)
                    stream.flush()
                    os.fsync(stream.fileno())
                partial.replace(path)
            except OSError:
                with contextlib.suppress(OSError):
                    partial.unlink()
                raise
        return True

    def drop(self, names: Iterable[str]) -> None:
        """Remove results. Raises `WriteError`."""
        for name in names:
            path = self._folder / name
            with _at(path):
                path.unlink(missing_ok=True)

    def _is_whole(self, path: Path) -> bool:
        digest = hashlib.sha256(self._token + path.name.encode())
        with path.open("rb") as stream:
            head = stream.read(len(_MAGIC) + _DIGEST)
            while block := stream.read(_BLOCK):
                digest.update(block)
        return head == _MAGIC + digest.digest()

    def _write(self, stream: BinaryIO, arrays: Arrays, key: str) -> None:
        """The magic, the SHA-256 of the token and what follows, and the arrays by name."""
        stream.write(_MAGIC + bytes(_DIGEST))
        through = _Hashing(stream, self._token + key.encode())
        for name, array in arrays.items():
            encoded = name.encode()
            through.write(len(encoded).to_bytes(4, "little") + encoded)
            np.lib.format.write_array(cast(BinaryIO, through), np.ascontiguousarray(array), allow_pickle=False)
        stream.seek(len(_MAGIC))
        stream.write(through.hash.digest())


class _Hashing(io.RawIOBase):
    """A stream that hashes what is written through it."""

    def __init__(self, stream: BinaryIO, token: bytes) -> None:
        self._stream, self.hash = stream, hashlib.sha256(token)

    def write(self, data: Any) -> int:
        self.hash.update(data)
        return self._stream.write(data)


def _arrays(stream: BinaryIO, end: int) -> Arrays:
    out: Arrays = {}
    while stream.tell() < end:
        size = int.from_bytes(stream.read(4), "little")
        name = stream.read(size).decode()
        out[name] = np.lib.format.read_array(stream, allow_pickle=False)
    return out


def size_of(arrays: Mapping[str, npt.NDArray[Any]]) -> int:
    """Bytes of a result."""
    return sum(array.nbytes for array in arrays.values())


@contextlib.contextmanager
def _at(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(path, error) from error
