"""The calls of existing clients, request for request as they go over the wire.

Each class sends what one client sends: which headers, which body, which fields even when they have
their default. None of them shares code with the daemon.
"""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Optional, Tuple


class ControllerError(Exception):
    def __init__(self, status: int, body: Any) -> None:
        super().__init__(f"HTTP {status}: {body}")
        self.status = status
        self.body = body


class PythonSdk:
    """urllib; a Content-Type only when there is a body; ids are put into the path as they are."""

    def __init__(self, base_url: str, token: Optional[str] = None) -> None:
        self._base = base_url
        self._token = token

    def request(self, method: str, path: str, body: Optional[dict] = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data=data, method=method)
        if data is not None:
            request.add_header("Content-Type", "application/json")
        if self._token:
            request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                raw = response.read()
        except urllib.error.HTTPError as e:
            raw = e.read()
            try:
                told = json.loads(raw)
            except ValueError:
                told = raw.decode()
            raise ControllerError(e.code, told) from None
        return json.loads(raw) if raw else None

    def list_snapshots(self):
        return self.request("GET", "/v1/snapshots")

    def delete_snapshot(self, tag):
        return self.request("DELETE", f"/v1/snapshots/{tag}")

    def spawn_sandboxes(self, tag, n=1, per_child_netns=False, memory_limit_mib=None,
                        prewarm=False):
        body = {"snapshot_tag": tag, "n": n, "per_child_netns": per_child_netns}
        if memory_limit_mib is not None:
            body["memory_limit_mib"] = memory_limit_mib
        if prewarm:
            body["prewarm"] = True
        return self.request("POST", "/v1/sandboxes", body)

    def list_sandboxes(self):
        return self.request("GET", "/v1/sandboxes")

    def get_sandbox(self, sandbox):
        return self.request("GET", f"/v1/sandboxes/{sandbox}")

    def kill_sandbox(self, sandbox):
        return self.request("DELETE", f"/v1/sandboxes/{sandbox}")

    def branch_sandbox(self, sandbox, tag=None, diff=False, measure_diff=False, mode=None,
                       wait=True):
        body: dict = {}
        if tag is not None:
            body["tag"] = tag
        if mode is not None:
            body["mode"] = mode
        elif diff:
            body["diff"] = True
        if measure_diff:
            body["measure_diff"] = True
        if not wait:
            body["wait"] = False
        return self.request("POST", f"/v1/sandboxes/{sandbox}/branch", body)

    def exec_command(self, sandbox, args, timeout_secs=30):
        return self.request("POST", f"/v1/sandboxes/{sandbox}/exec",
                            {"args": args, "timeout_secs": timeout_secs})

    def eval_code(self, sandbox, code):
        return self.request("POST", f"/v1/sandboxes/{sandbox}/eval", {"code": code})

    def ping_sandbox(self, sandbox):
        return self.request("POST", f"/v1/sandboxes/{sandbox}/ping")


class TypeScriptSdk(PythonSdk):
    """fetch; ids and tags are percent-encoded, trailing slashes of the base URL are stripped."""

    def __init__(self, base_url: str, token: Optional[str] = None) -> None:
        super().__init__(base_url.rstrip("/"), token)

    def request(self, method: str, path: str, body: Optional[dict] = None) -> Any:
        place, mark, query = path.partition("?")
        parts = [urllib.parse.quote(part, safe="!~*'()") for part in place.split("/")]
        return super().request(method, "/".join(parts) + mark + query, body)


class McpServer:
    """httpx; Content-Type: application/json on every request, also on those without a body."""

    def __init__(self, port: int, token: Optional[str] = None) -> None:
        self._port = port
        self._headers = {"Content-Type": "application/json", "Accept": "*/*",
                         "User-Agent": "python-httpx/0.27.0"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def request(self, method: str, path: str, body: Any = None) -> Tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            data = None if body is None else json.dumps(body).encode()
            connection.request(method, path, data, self._headers)
            response = connection.getresponse()
            raw = response.read()
            return response.status, json.loads(raw) if raw else None
        finally:
            connection.close()

    def ok(self, method: str, path: str, body: Any = None) -> Any:
        status, reply = self.request(method, path, body)
        assert status < 300, (status, reply)
        return reply
