"""The few lines of HTTP that the demos need to talk to a forkd daemon. Standard library only."""
import http.client
import json
import os
import socket
import urllib.parse
from typing import Any, Dict, List, Optional


class ForkdError(Exception):
    """The daemon refused or failed; the message is the daemon's."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("forkd", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Forkd:
    """A daemon at ``unix:/path`` or ``http://host:port``. One per thread: it keeps a connection."""

    def __init__(self, address: str, token: str = "", timeout: float = 300.0) -> None:
        self.address = address
        self._token = token
        self._connection = _connection(address, timeout)

    def same(self) -> "Forkd":
        """Another connection to the same daemon, for another thread."""
        return Forkd(self.address, self._token)

    def request(self, method: str, path: str, body: Optional[Dict[str, Any]] = None) -> Any:
        """The reply's JSON, or None for a reply without a body."""
        content = self._exchange(method, path, body)
        return json.loads(content) if content else None

    def text(self, path: str) -> str:
        """A page that is not JSON."""
        return self._exchange("GET", path, None).decode()

    def _exchange(self, method: str, path: str, body: Optional[Dict[str, Any]]) -> bytes:
        headers = {}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        if self._token:
            headers["Authorization"] = "Bearer " + self._token
        try:
            self._connection.request(method, path, body=data, headers=headers)
            reply = self._connection.getresponse()
            content = reply.read()
        except OSError as error:
            self._connection.close()
            raise ForkdError(
                "no daemon answers at %s (%s); start one with: forkd serve" % (self.address, error)
            ) from error
        if reply.status >= 400:
            raise ForkdError(_told(reply.status, content))
        return content

    def snapshot(self, tag: str) -> Dict[str, Any]:
        return self.request("GET", "/v1/snapshots/%s/info" % _quoted(tag))

    def fork(self, tag: str, n: int) -> List[Dict[str, Any]]:
        """n new sandboxes, all of which have answered."""
        return self.request("POST", "/v1/sandboxes", {"snapshot_tag": tag, "n": n})

    def call(self, sandbox: str, module: str, args: List[str], timeout: float) -> Dict[str, Any]:
        """Runs ``python -m module`` in a fork of the sandbox's warm interpreter."""
        return self._call(sandbox, {"module": module}, args, timeout)

    def call_code(
        self, sandbox: str, code: str, args: List[str], timeout: float, env: Dict[str, str]
    ) -> Dict[str, Any]:
        """Runs ``python -c code`` in such a fork."""
        return self._call(sandbox, {"code": code, "env": env}, args, timeout)

    def _call(
        self, sandbox: str, what: Dict[str, Any], args: List[str], timeout: float
    ) -> Dict[str, Any]:
        body = {**what, "args": args, "timeout_secs": timeout}
        return self.request("POST", "/v1/sandboxes/%s/call" % _quoted(sandbox), body)

    def eval(self, sandbox: str, code: str) -> Dict[str, Any]:
        return self.request("POST", "/v1/sandboxes/%s/eval" % _quoted(sandbox), {"code": code})

    def destroy(self, sandbox: str) -> None:
        self.request("DELETE", "/v1/sandboxes/%s" % _quoted(sandbox))


def _connection(address: str, timeout: float) -> http.client.HTTPConnection:
    if address.startswith("unix:"):
        return _UnixConnection(address[len("unix:") :], timeout)
    parts = urllib.parse.urlsplit(address)
    if parts.scheme == "https" and parts.hostname:
        return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=timeout)
    if parts.scheme == "http" and parts.hostname:
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    raise ForkdError("address %r is neither unix:/path nor http://host:port" % address)


def _told(status: int, content: bytes) -> str:
    """What the daemon says about a failure."""
    try:
        told = json.loads(content)
        return ("%s\n%s" % (told["error"], told.get("detail", ""))).strip()
    except (ValueError, LookupError, TypeError):
        return "HTTP %d" % status


def _quoted(name: str) -> str:
    return urllib.parse.quote(name, safe="")


def default_address() -> str:
    """Where ``forkd`` itself looks: FORKD_URL, FORKD_RUN_DIR, or the usual place."""
    if os.environ.get("FORKD_URL"):
        return os.environ["FORKD_URL"]
    if os.environ.get("FORKD_RUN_DIR"):
        return "unix:%s/forkd.sock" % os.environ["FORKD_RUN_DIR"]
    if os.environ.get("FORKD_STATE_DIR"):
        return "unix:%s/run/forkd.sock" % os.environ["FORKD_STATE_DIR"]
    if os.geteuid() != 0 and os.environ.get("XDG_RUNTIME_DIR"):
        return "unix:%s/forkd/forkd.sock" % os.environ["XDG_RUNTIME_DIR"]
    return "unix:/run/forkd/forkd.sock"


def add_arguments(parser: Any) -> None:
    """The options that every demo has."""
    parser.add_argument("--url", default=default_address(), help="unix:/path or http://host:port")
    parser.add_argument("--socket", metavar="PATH", help="the same as --url unix:PATH")


def connect(arguments: Any) -> Forkd:
    """The daemon that the options name."""
    address = "unix:" + arguments.socket if arguments.socket else arguments.url
    return Forkd(address, os.environ.get("FORKD_TOKEN", ""))
