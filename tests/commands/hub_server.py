"""A hub of one's own on this machine: the few requests that sending a folder makes, and what came of them."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_thisIsTheTokenOfNobody"


@dataclass
class Hub:
    """`files` are those that were committed, `made` the repositories, `refusing` answers every request by a status."""

    endpoint: str = ""
    refusing: int = 0
    refuses_card: str = ""
    made: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        """Status and document."""
        if self.refusing:
            return self.refusing, {"error": f"not with {TOKEN}"}
        if path == "/api/validate-yaml":
            return (400, self.refuses_card) if self.refuses_card else (200, {"errors": [], "warnings": []})
        if path == "/api/repos/create":
            self.made.append(json.loads(body))
            return 200, {"url": f"{self.endpoint}/org/model"}
        if "/preupload/" in path:
            names = [one["path"] for one in json.loads(body)["files"]]
            modes = [{"path": name, "uploadMode": "regular", "shouldIgnore": False, "oid": None} for name in names]
            return 200, {"files": modes}
        if "/commit/" in path:
            for line in body.splitlines():
                entry = json.loads(line)
                if entry["key"] == "file":
                    self.files[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            commit = f"{self.endpoint}/org/model/commit/abc"
            return 200, {"commitUrl": commit, "commitOid": "abc", "success": True}
        return 404, {"error": f"nothing at {path}"}


@contextmanager
def serving() -> Iterator[Hub]:
    """A block in which the hub answers on this machine."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
            else:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            hub.asked.append(self.path)
            hub.tokens.add(self.headers.get("Authorization", ""))
            status, document = hub.answer(self.path, body)
            content = document.encode() if isinstance(document, str) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/plain" if isinstance(document, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *words: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
