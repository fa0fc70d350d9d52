"""Servers that the tests start: PostgreSQL, and a store that speaks S3."""

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import adbc_driver_postgresql.dbapi
from moto.server import ThreadedMotoServer

USER, PASSWORD = "risk", "geheim/w@rt:1"


def postgres_programs() -> Path | None:
    """The folder that holds initdb and postgres; None where PostgreSQL is not installed."""
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((one for one in folders if (one / "initdb").exists() and (one / "postgres").exists()), None)


@contextlib.contextmanager
def postgres(programs: Path) -> Iterator[str]:
    """A server with an empty cluster that lasts as long as this does and asks for a password: its URI."""
    # Not under pytest's folder: PostgreSQL refuses to run as root, and pytest's folder is root's alone then. The path
    # of a socket has to be short, too.
    with tempfile.TemporaryDirectory(prefix="gpu-var-pg-", dir="/tmp") as name:
        folder = Path(name)
        data, secret = folder / "data", folder / "password"
        secret.write_text(PASSWORD)
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            entry = next(pwd.getpwnam(user) for user in ("postgres", "nobody") if _exists(user))
            who = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
            for path in (folder, secret):
                os.chown(path, entry.pw_uid, entry.pw_gid)
        make = ["-D", str(data), "-U", USER, "-A", "scram-sha-256", "--pwfile", str(secret), "-E", "UTF8", "-N"]
        subprocess.run(
            [programs / "initdb", "--locale=C", *make], check=True, cwd=folder, stdout=subprocess.DEVNULL, **who
        )
        log = (folder / "log").open("wb")
        # A socket of a folder of its own: as many servers as there are workers, and no port to fight over.
        where = ["-D", str(data), "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
        server = subprocess.Popen([programs / "postgres", *where], cwd=folder, stderr=log, **who)
        try:
            uri = f"postgresql://{USER}:{quote(PASSWORD, safe='')}@/postgres?host={folder}"
            _wait_for(uri, server, folder / "log")
            yield uri
        finally:
            server.send_signal(signal.SIGINT)  # at once, whoever is connected
            server.wait(timeout=60)
            log.close()


def _exists(user: str) -> bool:
    try:
        return bool(pwd.getpwnam(user))
    except KeyError:
        return False


def _wait_for(uri: str, server: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            adbc_driver_postgresql.dbapi.connect(uri).close()
            return
        except adbc_driver_postgresql.dbapi.Error as error:
            if server.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start: {log.read_text()}") from error
        time.sleep(0.05)


@contextlib.contextmanager
def store() -> Iterator[str]:
    """A store that speaks S3 and knows no credentials yet: its address."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        server.stop()
