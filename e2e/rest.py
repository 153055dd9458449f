"""A REST client of a few lines, over the daemon's unix socket or TCP."""

import http.client
import json
import socket
from typing import Any, Iterator, Optional, Tuple


class UnixConnection(http.client.HTTPConnection):
    """HTTP/1.1 over a unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Rest:
    """One daemon. Each call opens a connection of its own, so threads may share this object."""

    def __init__(self, socket_path: str, timeout: float = 120.0) -> None:
        self._path = socket_path
        self._timeout = timeout

    def raw(self, method: str, path: str, body: Optional[bytes] = None,
            headers: Optional[dict] = None) -> Tuple[int, bytes]:
        connection = UnixConnection(self._path, self._timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def call(self, method: str, path: str, body: Any = None) -> Tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if body is None else {"Content-Type": "application/json"}
        status, raw = self.raw(method, path, data, headers)
        return status, json.loads(raw) if raw else None

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, reply = self.call(method, path, body)
        assert status < 300, f"{method} {path}: HTTP {status}: {reply}"
        return reply

    def events(self, path: str, body: Any) -> Iterator[dict]:
        """The NDJSON events of a streamed reply; closing the iterator hangs up."""
        connection = UnixConnection(self._path, self._timeout)
        try:
            connection.request("POST", path, json.dumps(body).encode(),
                               {"Content-Type": "application/json",
                                "Accept": "application/x-ndjson"})
            response = connection.getresponse()
            assert response.status == 200, response.read()
            for line in response:
                yield json.loads(line)
        finally:
            connection.close()

    def fork(self, tag: str, n: int = 1, **more: Any) -> list:
        return self.ok("POST", "/v1/sandboxes", {"snapshot_tag": tag, "n": n, **more})

    def exec(self, sandbox: str, *args: str, **more: Any) -> dict:
        return self.ok("POST", f"/v1/sandboxes/{sandbox}/exec", {"args": list(args), **more})

    def eval(self, sandbox: str, code: str, **more: Any) -> dict:
        return self.ok("POST", f"/v1/sandboxes/{sandbox}/eval", {"code": code, **more})

    def kill(self, sandbox: str) -> None:
        self.ok("DELETE", f"/v1/sandboxes/{sandbox}")
