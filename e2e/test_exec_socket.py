"""exec over a WebSocket, with real programs."""

from pathlib import Path
from typing import Iterator

import host
import pytest
from conftest import Installation
from websocket import BINARY, WebSocket


class Client:
    def __init__(self, installation: Installation, sandbox: str) -> None:
        self.socket_path = str(installation.run_dir / "forkd.sock")
        self.path = f"/v1/sandboxes/{sandbox}/exec/socket"

    def start(self, *args: str, **more: object) -> WebSocket:
        connection = WebSocket(self.socket_path, self.path)
        assert connection.status == 101
        connection.tell({"args": args, **more})
        return connection


@pytest.fixture
def client(installation: Installation, rest) -> Iterator[Client]:
    yield Client(installation, rest.fork("tiny")[0]["id"])


def test_a_terminal_is_one(client: Client) -> None:
    code = (
        "import os, sys\n"
        "print(os.isatty(0), os.get_terminal_size(), flush=True)\n"
        "input()\n"
        "print(os.get_terminal_size(), flush=True)\n"
        "try:\n    input('go')\nexcept KeyboardInterrupt:\n    print('^C came')\n"
    )
    connection = client.start("python3", "-c", code, pty={"rows": 30, "columns": 100})
    assert connection.event()["event"] == "started"
    seen = b""
    while b"lines=30" not in seen:
        seen += connection.receive()[1]
    assert b"True" in seen and b"columns=100" in seen
    connection.tell({"resize": {"rows": 41, "columns": 99}})
    connection.send(BINARY, b"\r")
    while b"go" not in seen:
        seen += connection.receive()[1]
    assert b"columns=99, lines=41" in seen
    connection.send(BINARY, b"\x03")
    output, events, code_of_close = connection.until_close()
    assert b"^C came" in output
    assert events[-1]["event"] == "exit" and events[-1]["exit_code"] == 0
    assert code_of_close == 1000
    connection.close()


def test_bytes_come_back_as_they_went(client: Client) -> None:
    """More than any buffer on the way holds: who does not read makes the program wait."""
    sent = bytes(range(256)) * (16 << 10)  # 4 MiB
    connection = client.start("cat", stdin=True, timeout_secs=120)
    received = b""
    connection.event()
    for at in range(0, len(sent), 1 << 16):
        connection.send(BINARY, sent[at : at + (1 << 16)])
        while len(received) < at:
            received += connection.receive()[1][1:]
    connection.tell({"eof": True})
    output, events, _ = connection.until_close()
    assert received + output == sent
    assert events[-1]["exit_code"] == 0
    connection.close()


def test_streams_signals_and_exit_codes(client: Client) -> None:
    connection = client.start("sh", "-c", "echo out; echo err >&2; exit 7")
    connection.event()
    told = [connection.receive() for _ in range(3)]
    assert sorted(data for opcode, data in told if opcode == BINARY) == [b"\1out\n", b"\2err\n"]
    connection.close()
    connection = client.start("sleep", "100")
    connection.event()
    connection.tell({"signal": 9})
    assert connection.until_close()[1][-1]["signal"] == 9
    connection.close()
    connection = client.start("/no/such/program")
    assert connection.until_close()[1][-1]["exit_code"] == 127
    connection.close()


def test_hanging_up_ends_the_program(client: Client, rest, installation: Installation) -> None:
    connection = client.start("sleep", "98765")
    connection.event()

    def sleeps() -> bool:
        everyone = (int(one.name) for one in Path("/proc").iterdir() if one.name.isdigit())
        return any(host.command(pid) == b"sleep\x0098765\x00" for pid in everyone)

    host.eventually("it never ran", sleeps)
    connection.close()
    host.eventually("it still runs", lambda: not sleeps())


def test_what_is_refused(installation: Installation, rest) -> None:
    path = str(installation.run_dir / "forkd.sock")
    nobody = WebSocket(path, "/v1/sandboxes/sb-00000000-0000/exec/socket")
    assert nobody.status == 404
    nobody.close()
    sandbox = rest.fork("tiny")[0]["id"]
    assert rest.call("GET", f"/v1/sandboxes/{sandbox}/exec/socket")[0] == 400
    connection = WebSocket(path, f"/v1/sandboxes/{sandbox}/exec/socket")
    connection.tell({"args": []})
    output, events, code = connection.until_close()
    assert (output, events[-1]["kind"], code) == (b"", "invalid", 1008)
    connection.close()
