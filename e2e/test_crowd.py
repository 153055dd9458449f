"""Many clients at once, clients that hang up, and one that hardly reads."""

import concurrent.futures
import http.client
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import host
from conftest import ROUNDS
from host import PATIENCE, eventually
from rest import UnixConnection

CLIENTS = 200


def resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def test_200_clients_at_once(installation, rest):
    together = threading.Barrier(CLIENTS)

    def life(number: int) -> str:
        together.wait(PATIENCE)
        sandbox = rest.fork("tiny")[0]["id"]
        assert rest.eval(sandbox, f"{number} + 1")["result"] == str(number + 1)
        assert rest.exec(sandbox, "echo", str(number))["stdout"] == f"{number}\n"
        assert sandbox in [s["id"] for s in rest.ok("GET", "/v1/sandboxes")]
        rest.kill(sandbox)
        return sandbox

    for _ in range(ROUNDS):
        with concurrent.futures.ThreadPoolExecutor(CLIENTS) as threads:
            lives = list(threads.map(life, range(CLIENTS)))
        assert len(set(lives)) == CLIENTS
        assert rest.ok("GET", "/v1/sandboxes") == []
    assert [g for g in host.cgroups(installation.label()) if "/s-" in g] == []


def begin(rest, method: str, path: str, body: bytes, headers: dict) -> UnixConnection:
    """Sends a request and does not wait for its answer."""
    connection = UnixConnection(str(rest._path), PATIENCE)
    connection.putrequest(method, path)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    return connection


def post(rest, path: str, body: Any) -> UnixConnection:
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/x-ndjson",
               "Content-Length": str(len(data))}
    return begin(rest, "POST", path, data, headers)


def test_clients_that_hang_up(installation, rest):
    def running() -> str:
        status, text = rest.raw("GET", "/metrics")
        assert status == 200
        lines = text.decode().splitlines()
        return next(line for line in lines if line.startswith("forkd_programs_running "))

    sandbox = rest.fork("tiny")[0]["id"]
    path = f"/v1/sandboxes/{sandbox}"
    files = 0
    for round_number in range(ROUNDS + 1):
        # In the middle of a stream of output; the program must end.
        connection = post(rest, f"{path}/exec", {"args": ["yes"], "stream": True})
        connection.getresponse().read(10_000 * (round_number + 1))
        connection.close()
        # Before a program that is silent has said anything.
        post(rest, f"{path}/exec", {"args": ["sleep", "1000"], "stream": True}).close()
        # In the middle of a body, of a body of JSON, and of a head.
        half = {"Content-Length": "1000000", "Content-Type": "application/octet-stream"}
        begin(rest, "PUT", f"{path}/files?path=/tmp/half", b"x" * 1000, half).close()
        half["Content-Type"] = "application/json"
        begin(rest, "POST", f"{path}/exec", b'{"args":', half).close()
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(rest._path))
            raw.sendall(b"POST /v1/sandboxes HTTP/1.1\r\nHost: f\r\nContent-")
        # While a file is sent to it.
        rest.exec(sandbox, "sh", "-c", "head -c 20M /dev/zero > /tmp/large")
        connection = begin(rest, "GET", f"{path}/files?path=/tmp/large", b"", {})
        connection.getresponse().read(1000)
        connection.close()
        # While events are followed.
        connection = begin(rest, "GET", "/v1/events", b"", {"Accept": "text/event-stream"})
        connection.getresponse()
        connection.close()
        eventually("programs end", lambda: running() == "forkd_programs_running 0")
        gone = "for p in /proc/[0-9]*; do readlink $p/exe; done | grep -cE '(yes|sleep)$'"
        eventually("they are gone",
                   lambda: rest.exec(sandbox, "sh", "-c", gone)["stdout"] == "0\n")
        assert rest.exec(sandbox, "sh", "-c", "test ! -e /tmp/half")["exit_code"] == 0
        # Before the answer of a fork: the sandbox is there all the same, and is listed.
        post(rest, "/v1/sandboxes", {"snapshot_tag": "tiny"}).close()
        eventually("the fork is listed", lambda: len(rest.ok("GET", "/v1/sandboxes")) == 2)
        for other in rest.ok("GET", "/v1/sandboxes"):
            if other["id"] != sandbox:
                rest.kill(other["id"])
        if round_number == 0:
            files = host.open_files(installation.process.pid)
    eventually("descriptors return",
               lambda: host.open_files(installation.process.pid) <= files + 4)


def test_a_slow_reader_of_a_gibibyte(installation, rest):
    """Nothing is lost, nothing piles up, and nobody else waits."""
    size = 1 << 30
    sandbox, other = (s["id"] for s in rest.fork("tiny", 2))
    pid = installation.process.pid
    for _ in range(max(1, ROUNDS // 3)):
        before = resident_mib(pid)
        connection = post(rest, f"/v1/sandboxes/{sandbox}/exec", {
            "args": ["sh", "-c", f"yes | head -c {size}"], "stream": True, "timeout_secs": 600})
        reply = connection.getresponse()
        reply.read(1 << 20)
        time.sleep(1.0)  # the reader that does not read
        began = time.monotonic()
        assert rest.exec(other, "echo", "quick")["stdout"] == "quick\n"
        assert time.monotonic() - began < 5
        assert resident_mib(pid) - before < 96
        connection.close()
        got = 0
        last = ""
        connection = post(rest, f"/v1/sandboxes/{sandbox}/exec", {
            "args": ["sh", "-c", f"yes | head -c {size}"], "stream": True, "timeout_secs": 600})
        for line in iterate(connection):
            event = line[:40]
            if b'"stdout"' in event:
                got += 2 * line.count(b"y\\n")
            elif line.strip():
                last = json.loads(line)
            if got % (64 << 20) < 1 << 16:
                time.sleep(0.005)
        connection.close()
        assert last["event"] == "exit" and last["exit_code"] == 0, last
        assert got == size
        assert resident_mib(pid) - before < 96


def iterate(connection: http.client.HTTPConnection):
    reply = connection.getresponse()
    assert reply.status == 200
    yield from reply
