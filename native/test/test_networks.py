"""Networks of sandboxes: real namespaces, real nftables, and a machine beyond this one."""
from __future__ import annotations

import os
import secrets
import select
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Iterator, List

import frames
import pytest
from launcher import HERE, Launcher, launcher  # noqa: F401 (fixture)
from outside import OTHER, PRIVATE, PUBLIC, machine

NET = os.environ.get("FORKD_NET", str(HERE.parent / "build" / "forkd-net"))
SANDBOX_SERVER = """
import socket, threading
listener = socket.create_server(("0.0.0.0", %d))
def handle(peer):
    %s
    peer.close()
print("up")
while True:
    threading.Thread(target=handle, args=(listener.accept()[0],)).start()
"""
REFUSED = ("ConnectionRefusedError", "OSError", "TimeoutError", "timeout", "ConnectionResetError")


def net(*words: str, text: str = "") -> str:
    done = subprocess.run([NET, *words], input=text, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    net("sweep", str(tmp_path))


@pytest.fixture(scope="module")
def outside() -> Iterator[None]:
    with machine():
        yield


class Plugged:
    """A sandbox with a network."""

    def __init__(self, launcher: Launcher, records: Path, kind: str, name: str = "box") -> None:
        self.pid = launcher.fork([name])[0].int(frames.PID)
        self.client = launcher.connect(name)
        self.network = net("add", str(records), kind, "pair")
        net("plug", self.network, str(self.pid))

    def python(self, code: str) -> str:
        return self.client.run(["/usr/bin/python3", "-c", code]).stdout.decode().strip()

    def reach(self, address: str, port: int = 80) -> str:
        return self.python(
            "import socket\n"
            "try: print(socket.create_connection((%r, %d), 3).recv(99).decode())\n"
            "except OSError as e: print(type(e).__name__)" % (address, port))

    def serve(self, port: int, program: str) -> None:
        """Starts a server in it that runs `program` for each connection `peer`."""
        started = self.client.start(["/usr/bin/python3", "-uc", SANDBOX_SERVER % (port, program)])
        frame = self.client.expect(started, frames.STARTED)
        while b"up" not in frame.bytes(frames.DATA):
            frame = self.client.next(started)


@pytest.fixture
def base(launcher: Launcher) -> Launcher:  # noqa: F811
    launcher.template()
    return launcher


def test_nothing_is_reached_without_an_uplink(base: Launcher, records: Path, outside: None) -> None:
    box = Plugged(base, records, "local")
    assert box.reach(PUBLIC) in REFUSED
    assert box.reach("10.43.0.1") in REFUSED


def test_an_uplink_reaches_the_outside_but_nothing_private(
        base: Launcher, records: Path, outside: None) -> None:
    box = Plugged(base, records, "nat")
    assert box.reach(PUBLIC) == "from " + PUBLIC
    assert box.reach(PRIVATE) in REFUSED
    assert box.reach("169.254.169.254") in REFUSED
    assert sorted(net("refused", box.network).splitlines()) == [
        "10.99.0.7 tcp 80", "169.254.169.254 tcp 80"]


def test_nobody_reaches_the_host_or_a_sibling(base: Launcher, records: Path, outside: None) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        one, two = Plugged(base, records, "nat", "one"), Plugged(base, records, "nat", "two")
        two.serve(8000, "peer.sendall(b'sibling')")
        number = int(one.network.rpartition("-")[2])
        host = "10.43.%d.%d" % (number >> 6, (number & 63) * 4 + 1)
        for address in (host, "192.88.99.1", "10.42.0.1"):
            assert one.reach(address, port) in REFUSED
        assert one.reach(sibling_address(two), 8000) in REFUSED
        listener.settimeout(0.2)
        with pytest.raises(socket.timeout):
            listener.accept()


LISTEN_IPV6 = """
import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
s.bind(("::", 9)); print("up", flush=True); print(s.recv(99), flush=True)
"""


def test_nothing_beyond_a_sandbox_speaks_ipv6(base: Launcher, records: Path) -> None:
    box = Plugged(base, records, "nat")
    number = box.network.rpartition("-")[2]
    enter = ["/usr/sbin/ip", "netns", "exec", box.network]
    for where, device in ((enter, "veth0"), (enter, "up0"), ([], "forkd-v" + number)):
        shown = subprocess.run([*where, "/usr/sbin/ip", "-6", "addr", "show", "dev", device],
                               capture_output=True, text=True, check=True)
        assert "inet6" not in shown.stdout, device
    assert box.python("print(open('/proc/net/if_inet6').read())").split()[-1] == "lo"
    with subprocess.Popen([*enter, sys.executable, "-c", LISTEN_IPV6],
                          stdout=subprocess.PIPE) as listener:
        assert listener.stdout is not None and listener.stdout.readline() == b"up\n"
        # The address that veth0 would give itself, and every machine on the link.
        for address in ("fe80::66:6bff:fe64:1", "ff02::1", "ff02::2"):
            assert box.python(
                "import socket\n"
                "s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)\n"
                "try: s.sendto(b'x', (%r, 9, 0, socket.if_nametoindex('eth0'))); print('sent')\n"
                "except OSError as e: print(type(e).__name__)" % address) == "OSError"
        assert not select.select([listener.stdout], [], [], 0.3)[0]
        listener.kill()


@contextmanager
def name_server(network: str) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen([NET, "questions", network], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, bufsize=0)
    assert process.stdout is not None and process.stdin is not None
    assert process.stdout.read(4) == bytes(4)
    yield process
    process.stdin.close()
    assert process.wait(10) == 0
    process.stdout.close()


ASK = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(%r, ("10.42.0.1", 53))
print(s.recv(9999))
"""


def test_questions_reach_the_daemon_and_answers_the_asker(base: Launcher, records: Path) -> None:
    box = Plugged(base, records, "nat")
    with name_server(box.network) as server:
        assert server.stdin is not None and server.stdout is not None
        runs = [box.client.start(["/usr/bin/python3", "-c", ASK % word]) for word in (b"a", b"b")]
        asked = [server.stdout.read(5) for _ in runs]
        assert sorted(message[4:] for message in asked) == [b"a", b"b"]
        for message in asked:
            answer = 3000 * message[4:]
            packet = len(answer).to_bytes(2, "big") + message[2:4] + answer
            server.stdin.write(packet[:1000])
            server.stdin.write(packet[1000:])
        for run, word in zip(runs, ("a", "b")):
            assert box.client.finish(run).stdout.decode().strip() == "b'%s'" % (3000 * word)


def test_a_flood_of_questions_is_dropped(base: Launcher, records: Path) -> None:
    box = Plugged(base, records, "nat")
    with name_server(box.network) as server:
        assert server.stdin is not None and server.stdout is not None
        box.python("import socket\n"
                   "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                   "for n in list(range(1200, 1300)) * 100:\n"
                   "    try: s.sendto(bytes(n), ('10.42.0.1', 53))\n"
                   "    except OSError: pass")
        os.set_blocking(server.stdout.fileno(), False)
        left = server.stdout.read(1 << 20)
        assert left is not None and 0 < len(left) <= 65536
        while left:
            length = int.from_bytes(left[:2], "big")
            assert 1200 <= length <= 1232 and left[4:4 + length] == bytes(length)
            left = left[4 + length:]
        os.set_blocking(server.stdout.fileno(), True)
        run = box.client.start(["/usr/bin/python3", "-c", ASK % b"later"])
        while True:
            head = server.stdout.read(4)
            if server.stdout.read(int.from_bytes(head[:2], "big")) == b"later":
                break
        server.stdin.write(b"\x00\x02" + head[2:4] + b"ok")
        assert box.client.finish(run).stdout == b"b'ok'\n"


def test_a_list_allows_what_it_names_and_can_change(
        base: Launcher, records: Path, outside: None) -> None:
    box = Plugged(base, records, "nat")
    net("rules", box.network, text="%s/32 tcp 80 80\n%s/32 any 0 0\n" % (PUBLIC, PRIVATE))
    assert [box.reach(a) for a in (PUBLIC, PRIVATE)] == ["from " + PUBLIC, "from " + PRIVATE]
    assert box.reach(PUBLIC, 81) in REFUSED and box.reach(OTHER) in REFUSED
    net("rules", box.network, text="%s/32 tcp 80 81\n" % OTHER)
    assert box.reach(PUBLIC) in REFUSED
    assert box.reach(OTHER, 81) == "from " + OTHER
    net("rules", box.network, text="")
    assert box.reach(OTHER, 81) in REFUSED
    net("rules", box.network, text="public\n")
    assert box.reach(OTHER) == "from " + OTHER


@pytest.mark.parametrize("line", [
    "192.88.99.7/33 tcp 1 2", "192.88.99.7/32 icmp 1 2", "192.88.99.7/32 tcp 2 1", "accept",
    "192.88.99.7/32 tcp 1 2; accept }", "999.1.1.1/8 any 0 0", "192.88.99.7/32 tcp 1 70000"])
def test_a_rule_that_is_none_changes_nothing(
        base: Launcher, records: Path, outside: None, line: str) -> None:
    box = Plugged(base, records, "nat")
    net("rules", box.network, text="%s/32 tcp 80 80\n" % OTHER)
    done = subprocess.run([NET, "rules", box.network], input="public\n%s\n" % line, text=True,
                          capture_output=True, timeout=30)
    if "; accept }" in line:  # the numbers count, the rest reaches nobody
        assert done.returncode == 0
        net("rules", box.network, text="")
    else:
        assert done.returncode == 1 and "not a rule" in done.stderr
        assert box.reach(OTHER) == "from " + OTHER
    assert box.reach(PUBLIC) in REFUSED


def test_no_root_in_a_sandbox_changes_its_network(
        base: Launcher, records: Path, outside: None) -> None:
    box = Plugged(base, records, "local")
    for command in ("ip addr add 10.42.0.9/24 dev eth0",
                    "ip link set eth0 address 02:00:00:00:00:09", "ip link del eth0",
                    "ip route add 192.88.99.0/24 dev eth0"):
        assert b"not permitted" in box.client.sh(command).stderr, command
    assert box.python("import socket\ntry: socket.socket(17, 3)\n"
                      "except OSError as e: print(e.errno)") in ("1", "13", "97")


def test_the_host_reaches_a_port_in_the_network(base: Launcher, records: Path) -> None:
    box = Plugged(base, records, "local")
    box.serve(8000, "peer.sendall(b'inside')")
    seen = subprocess.run(
        ["/usr/sbin/ip", "netns", "exec", box.network, sys.executable, "-c",
         "import socket; print(socket.create_connection(('10.42.0.2', 8000), 5).recv(9))"],
        capture_output=True, text=True, timeout=30)
    assert seen.stdout == "b'inside'\n"


@contextmanager
def published(box: Plugged, port: int) -> Iterator[int]:
    process = subprocess.Popen([NET, "forward", box.network, "127.0.0.1", "0", str(port)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    yield int(process.stdout.readline())
    process.stdin.close()
    assert process.wait(10) == 0


def test_a_published_port_is_the_sandboxes(base: Launcher, records: Path) -> None:
    box = Plugged(base, records, "local")
    box.serve(8000, """
    while True:
        data = peer.recv(65536)
        if not data: break
        peer.sendall(data)
    """)
    sent = secrets.token_bytes(3_000_000)
    with published(box, 8000) as port:
        got: List[bytes] = []
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            reader = threading.Thread(target=lambda: got.append(read_all(peer)))
            reader.start()
            peer.sendall(sent)
            peer.shutdown(socket.SHUT_WR)
            reader.join(20)
        assert got == [sent]
        idle = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(40)]
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            peer.sendall(b"still")
            assert peer.recv(9) == b"still"
        for connection in idle:
            connection.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5)


def test_what_serves_a_network_outlives_the_thread_that_started_it(
        base: Launcher, records: Path) -> None:
    """The kernel's word for a parent's end (prctl(2), PR_SET_PDEATHSIG) means the thread."""
    box = Plugged(base, records, "local")
    box.serve(8000, "peer.sendall(b'inside')")
    opened = ExitStack()
    with ThreadPoolExecutor(1) as pool:
        port = pool.submit(opened.enter_context, published(box, 8000)).result()
        server = pool.submit(opened.enter_context, name_server(box.network)).result()
    with opened:
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            assert read_all(peer) == b"inside"
        assert server.poll() is None


def test_a_published_port_without_a_server_is_closed(base: Launcher, records: Path) -> None:
    with published(Plugged(base, records, "local"), 8000) as port:
        with socket.create_connection(("127.0.0.1", port), 10) as peer:
            assert peer.recv(9) == b""


@pytest.mark.parametrize("pid", ["1", "0", "-1", "x", "99999999999", "/"])
def test_only_an_agent_is_given_a_network(records: Path, pid: str) -> None:
    network = net("add", str(records), "local", "pair")
    done = subprocess.run([NET, "plug", network, pid], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert "no sandbox's agent" in done.stderr or "not a pid" in done.stderr


def test_another_network_takes_the_place_of_the_first(base: Launcher, records: Path) -> None:
    box = Plugged(base, records, "local")
    net("unplug", str(box.pid))
    assert box.python("import os; print(os.listdir('/sys/class/net'))") == "['lo']"
    net("remove", str(records), box.network)
    other = net("add", str(records), "local", "pair")
    net("plug", other, str(box.pid))
    assert "eth0" in box.python("import os; print(os.listdir('/sys/class/net'))")


def test_nothing_is_left_of_a_network(base: Launcher, records: Path) -> None:
    box = Plugged(base, records, "nat")
    device = Path("/sys/class/net", box.network.replace("child-", "v"))
    assert device.exists()
    net("remove", str(records), box.network)
    assert not device.exists() and not Path("/run/netns", box.network).exists()


def read_all(peer: socket.socket) -> bytes:
    parts = []
    while True:
        part = peer.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def sibling_address(box: Plugged) -> str:
    number = int(box.network.rpartition("-")[2])
    return "10.43.%d.%d" % (number >> 6, (number & 63) * 4 + 2)
