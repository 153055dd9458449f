"""HTTP of a server in a sandbox, which has no network, through the daemon's own port."""

import http.client
import json
import socket
import time
from typing import Dict, Optional

import pytest
from rest import UnixConnection

SERVER = r"""
import http.server, json, threading, time
class Page(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def answer(self, status=200, body=b"", headers=()):
        self.send_response(status)
        for name, value in headers: self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD": self.wfile.write(body)
    def do(self):
        length = int(self.headers.get("Content-Length", "0"))
        if self.path.startswith("/echo"):
            told = {"method": self.command, "path": self.path,
                    "body": self.rfile.read(length).decode(),
                    "headers": {k.lower(): v for k, v in self.headers.items()}}
            self.answer(200, json.dumps(told).encode(), [("Content-Type", "application/json")])
        elif self.path == "/early": self.answer(413, b"too much")
        elif self.path == "/gone": self.answer(404, b"no such page")
        elif self.path == "/none": self.send_response(204); self.end_headers()
        elif self.path == "/moved": self.answer(302, b"", [("Location", "/echo?x=1")])
        elif self.path == "/cookies": self.answer(200, b"", [
            ("Set-Cookie", "a=1; Path=/; Domain=example.org; HttpOnly"), ("Set-Cookie", "b=2"),
            ("Strict-Transport-Security", "max-age=1"), ("X-Own", "kept")])
        elif self.path == "/big": self.answer(200, bytes(range(256)) * 80000)
        elif self.path == "/events":
            self.send_response(200); self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(b"data: 1\n\n"); go.wait(20); self.wfile.write(b"data: 2\n\n")
            self.close_connection = True
        elif self.path == "/go": go.set(); self.answer()
    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_HEAD = do
    def log_message(self, *_): pass
go = threading.Event()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 8000), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
"""
RAW = r"""
import socket, threading
listener = socket.create_server(("127.0.0.1", 9000))
reply = b""
def serve():
    while True:
        peer, _ = listener.accept()
        try: peer.recv(65536); peer.sendall(reply)
        except OSError: pass
        peer.close()
threading.Thread(target=serve, daemon=True).start()
"""


@pytest.fixture
def sandbox(rest) -> str:
    ident = rest.fork("tiny")[0]["id"]
    assert rest.eval(ident, SERVER)["error"] is None
    assert rest.ok("GET", f"/v1/sandboxes/{ident}/network")["network"] == "none"
    return ident


def ask(installation, sandbox: str, path: str, method: str = "GET", body: Optional[bytes] = None,
        headers: Optional[Dict[str, str]] = None, port: int = 8000):
    """The response, read as far as its head; closed with its connection."""
    connection = UnixConnection(str(installation.socket), 60)
    connection.request(method, f"/v1/sandboxes/{sandbox}/proxy/{port}{path}", body, headers or {})
    response = connection.getresponse()
    response.connection = connection
    return response


def error(response) -> str:
    return json.loads(response.read())["error"]


def test_a_request_arrives_as_it_was_sent(installation, rest, sandbox):
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        response = ask(installation, sandbox, "/echo/a%2Fb//c/../d?q=a+b&r=%20", method,
                       b"h\xc3\xa9llo", {"X-Mine": "1", "Accept": "x/y", "Cookie": "c=1",
                                         "Authorization": "Bearer of-the-daemon"})
        assert response.status == 200 and response.getheader("Content-Type") == "application/json"
        told = json.loads(response.read())
        assert told["method"] == method and told["body"] == "h\u00e9llo"
        assert told["path"] == "/echo/a%2Fb//c/../d?q=a+b&r=%20"
        inside = told["headers"]
        assert (inside["x-mine"], inside["accept"], inside["cookie"]) == ("1", "x/y", "c=1")
        assert inside["host"] == "localhost:8000"
        assert inside["x-forwarded-prefix"] == f"/v1/sandboxes/{sandbox}/proxy/8000"
        assert "authorization" not in inside
    assert json.loads(ask(installation, sandbox, "/echo").read())["body"] == ""


def test_a_reply_is_passed_on_as_it_is_but_for_what_speaks_for_the_daemon(
        installation, rest, sandbox):
    prefix = f"/v1/sandboxes/{sandbox}/proxy/8000"
    gone = ask(installation, sandbox, "/gone")
    assert (gone.status, gone.read()) == (404, b"no such page")
    assert gone.getheader("Content-Security-Policy").startswith("sandbox ")
    assert "allow-same-origin" not in gone.getheader("Content-Security-Policy")
    assert ask(installation, sandbox, "/moved").getheader("Location") == prefix + "/echo?x=1"
    cookies = ask(installation, sandbox, "/cookies")
    assert cookies.headers.get_all("Set-Cookie") == [
        f"a=1; HttpOnly; Path={prefix}/", f"b=2; Path={prefix}/"]
    assert cookies.getheader("X-Own") == "kept"
    assert cookies.getheader("Strict-Transport-Security") is None
    for method, path, status in (("HEAD", "/gone", 404), ("GET", "/none", 204)):
        response = ask(installation, sandbox, path, method)
        assert (response.status, response.read()) == (status, b"")


def test_what_is_large_or_slow_comes_as_it_is_sent(installation, rest, sandbox):
    assert ask(installation, sandbox, "/big").read() == bytes(range(256)) * 80000
    events = ask(installation, sandbox, "/events")
    assert events.read(9) == b"data: 1\n\n", "before the second one is sent"
    assert ask(installation, sandbox, "/go").status == 200
    assert events.read() == b"data: 2\n\n"
    begun = time.monotonic()
    assert ask(installation, sandbox, "/early", "POST", bytes(1 << 20)).status == 413
    assert time.monotonic() - begun < 10
    assert "larger than" in error(ask(installation, sandbox, "/echo", "POST", bytes(3 << 20)))
    left = ask(installation, sandbox, "/big")
    left.read(10)
    left.connection.close()  # a client that hangs up


def test_what_cannot_be_is_told(installation, rest, sandbox):
    nothing = ask(installation, sandbox, "/", port=8001)
    assert nothing.status == 502
    assert error(nothing) == f"nothing listens on port 8001 of sandbox {sandbox}"
    for port in ("0", "65536", "x", "080"):
        assert ask(installation, sandbox, "/", port=port).status == 400
    unknown = ask(installation, "sb-0-0000", "/")
    assert unknown.status == 404 and "sandbox" in error(unknown)
    upgrade = ask(installation, sandbox, "/", headers={"Upgrade": "x", "Connection": "Upgrade"})
    assert upgrade.status == 501 and "forkd port" in error(upgrade)


@pytest.mark.parametrize("reply, told", [
    (b"", "ended before its reply did"),
    (b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer with HTTP/1"),
    (b"HTTP/1.1 101 Switching\r\n\r\n", "does not answer with HTTP/1"),
    (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", "a header that is none"),
    (b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n", "a header that is none"),
    (b"HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n", "a header that is none"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "content length that is none"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "transfer encoding"),
    (b"HTTP/1.1 200 OK\r\n" + b"X: %s\r\n" % (b"y" * 1000) * 100 + b"\r\n", "bytes of headers"),
    (b"HTTP/1.1 200 " + b"y" * 100_000, "bytes of headers"),
])
def test_what_is_no_reply_is_not_passed_on(installation, rest, sandbox, reply, told):
    assert rest.eval(sandbox, RAW + f"reply = {reply!r}")["error"] is None
    response = ask(installation, sandbox, "/", port=9000)
    assert response.status == 502 and told in error(response)
    assert ask(installation, sandbox, "/echo").status == 200, "the daemon is well"


def test_a_reply_that_breaks_off_is_not_taken_for_whole(installation, rest, sandbox):
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    assert rest.eval(sandbox, RAW + f"reply = {reply!r}")["error"] is None
    with pytest.raises((http.client.IncompleteRead, ConnectionError, socket.timeout)):
        ask(installation, sandbox, "/", port=9000).read()
    reply = b"HTTP/1.0 200 OK\n\nold, and to the end"
    assert rest.eval(sandbox, f"reply = {reply!r}")["error"] is None
    assert ask(installation, sandbox, "/", port=9000).read() == b"old, and to the end"
