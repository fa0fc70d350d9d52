"""As much of Google Cloud Storage's interface as its client asks for when it lists and reads."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

BUCKET = "risk"


@contextlib.contextmanager
def google(objects: Mapping[str, bytes]) -> Iterator[str]:
    """A server with those objects in `BUCKET`: host and port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            _, listing, name = unquote(parts.path).partition(f"/b/{BUCKET}/o")
            if listing and not name:
                prefix = query.get("prefix", [""])[0]
                self.answer(200, {"items": [meta(key) for key in sorted(objects) if key.startswith(prefix)]})
            elif not listing and unquote(parts.path).startswith(f"/{BUCKET}/"):
                self.content(unquote(parts.path).removeprefix(f"/{BUCKET}/"))
            elif query.get("alt") == ["media"]:
                self.content(name.removeprefix("/"))
            elif name.removeprefix("/") in objects:
                self.answer(200, meta(name.removeprefix("/")))
            else:
                self.answer(404, {"error": {"code": 404, "message": "No such object"}})

        def content(self, key: str) -> None:
            body = objects[key]
            wanted = self.headers.get("Range", "").removeprefix("bytes=").split("-")
            first = int(wanted[0]) if wanted[0] else 0
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            self.send(body[first:], "application/octet-stream")

        def answer(self, code: int, value: object) -> None:
            self.send_response(code)
            self.send(json.dumps(value).encode(), "application/json")

        def send(self, body: bytes, kind: str) -> None:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    def meta(key: str) -> dict[str, str]:
        return {
            "kind": "storage#object",
            "name": key,
            "bucket": BUCKET,
            "generation": "1",
            "size": str(len(objects[key])),
        }

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()
