"""Networks of sandboxes over the API and the command line: what they reach, who reaches them."""

import http.client
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "native" / "test"))

from outside import OTHER, PRIVATE, PUBLIC, machine  # noqa: E402

SERVER = """
import http.server, threading
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b"page of %s")
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("0.0.0.0", 8888), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
"""
NATTED = """\
name: natted
image: host
runtime: {language: python, interpreter: /usr/bin/python3}
warm: {imports: [socket]}
workdir: /workdir
network: nat
allow: ["%s:80"]
pool: 2
""" % PUBLIC


@pytest.fixture(scope="module")
def outside():
    with machine():
        yield


def reach(rest, sandbox, address, port=80):
    code = ("import socket\n"
            "def reach():\n"
            "    try: return socket.create_connection((%r, %d), 3).recv(99).decode()\n"
            "    except OSError as error: return 'no: ' + str(error)\n"
            "reach()" % (address, port))
    return eval(rest.eval(sandbox, code)["result"])


def fetch(port, address="127.0.0.1"):
    connection = http.client.HTTPConnection(address, port, timeout=10)
    connection.request("GET", "/")
    return connection.getresponse().read().decode()


def test_existing_clients_reach_each_child_by_its_namespace(rest):
    ids = {s["id"]: s["netns"] for s in rest.fork("tiny", 3, per_child_netns=True)}
    assert len(set(ids.values())) == 3 and all(n.startswith("forkd-child-") for n in ids.values())
    for sandbox, netns in ids.items():
        assert rest.eval(sandbox, SERVER % sandbox)["error"] is None
        seen = subprocess.run(
            ["ip", "netns", "exec", netns, sys.executable, "-c",
             "import urllib.request; print(urllib.request.urlopen('http://10.42.0.2:8888').read())"],
            capture_output=True, text=True, timeout=30)
        assert f"page of {sandbox}" in seen.stdout, seen.stderr
    for sandbox, netns in ids.items():
        rest.kill(sandbox)
        assert not Path("/run/netns", netns).exists()


def test_nothing_is_reached_and_nothing_reaches_it_by_default(rest, outside):
    sandbox = rest.fork("tiny", 1)[0]
    assert sandbox["netns"] is None
    assert reach(rest, sandbox["id"], PUBLIC).startswith("no: ")
    assert rest.ok("GET", f"/v1/sandboxes/{sandbox['id']}/network") == {
        "network": "none", "netns": None, "allow": None, "refused": [], "ports": []}


def test_a_list_of_the_recipe_holds_for_every_child(rest, outside):
    rest.ok("POST", "/v1/snapshots", {"recipe": NATTED, "recipe_dir": "/"})
    try:
        for sandbox in [s["id"] for s in rest.fork("natted", 3)]:  # two of them from the pool
            assert reach(rest, sandbox, PUBLIC) == "from " + PUBLIC
            assert reach(rest, sandbox, OTHER).startswith("no: ")
            assert rest.ok("GET", f"/v1/sandboxes/{sandbox}/network")["refused"] == [
                f"{OTHER} tcp 80"]
            rest.kill(sandbox)
    finally:
        rest.ok("DELETE", "/v1/snapshots/natted")


def test_what_a_sandbox_reaches_changes_while_it_runs(rest, outside):
    sandbox = rest.fork("tiny", 1)[0]["id"]
    path = f"/v1/sandboxes/{sandbox}/network"
    told = rest.ok("PUT", path, {"network": "nat"})
    assert told["network"] == "nat" and told["allow"] is None
    assert reach(rest, sandbox, PUBLIC) == "from " + PUBLIC
    assert reach(rest, sandbox, PRIVATE).startswith("no: ")
    told = rest.ok("PUT", path, {"network": "nat", "allow": [f"{PRIVATE}:80"]})
    assert told["allow"] == [f"{PRIVATE}:80"]
    assert reach(rest, sandbox, PRIVATE) == "from " + PRIVATE
    assert reach(rest, sandbox, PUBLIC).startswith("no: ")
    assert rest.ok("PUT", path, {"network": "none"})["netns"] is None
    assert reach(rest, sandbox, PRIVATE).startswith("no: ")


@pytest.mark.parametrize("body, told", [
    ({}, "missing field `network`"),
    ({"network": "bridge"}, "must be none, local or nat"),
    ({"network": "local", "allow": []}, "needs the network nat"),
    ({"network": "nat", "allow": ["x y"]}, "not a destination"),
    ({"network": "nat", "allow": ["localhost:80"]}, "not public"),
    ({"network": "nat", "allow": ["a" * 300]}, "not a destination"),
])
def test_a_policy_that_is_none_is_refused_and_changes_nothing(rest, body, told):
    sandbox = rest.fork("tiny", 1)[0]["id"]
    status, reply = rest.call("PUT", f"/v1/sandboxes/{sandbox}/network", body)
    assert status == 400 and told in reply["error"], reply
    assert rest.ok("GET", f"/v1/sandboxes/{sandbox}/network")["network"] == "none"


def test_ports_are_published_on_loopback_and_taken_back(rest):
    one, two = (s["id"] for s in rest.fork("tiny", 2))
    ports = {}
    for sandbox in (one, two):
        assert rest.eval(sandbox, SERVER % sandbox)["error"] is None
        made = rest.ok("POST", f"/v1/sandboxes/{sandbox}/ports", {"port": 8888})
        assert made["address"] == "127.0.0.1" and made["port"] == 8888
        ports[sandbox] = made["host_port"]
    for sandbox, port in ports.items():
        assert fetch(port) == f"page of {sandbox}"
    assert rest.ok("GET", f"/v1/sandboxes/{one}/ports") == [
        {"port": 8888, "address": "127.0.0.1", "host_port": ports[one]}]
    status, reply = rest.call("POST", f"/v1/sandboxes/{one}/ports", {"port": 8888})
    assert status == 409 and "published already" in reply["error"]
    taken = {"port": 8080, "host_port": ports[one]}
    status, reply = rest.call("POST", f"/v1/sandboxes/{two}/ports", taken)
    assert status == 409 and "cannot listen" in reply["error"], reply
    rest.ok("DELETE", f"/v1/sandboxes/{one}/ports/8888")
    with pytest.raises(ConnectionRefusedError):
        fetch(ports[one])
    assert rest.call("DELETE", f"/v1/sandboxes/{one}/ports/8888")[0] == 404
    rest.kill(two)
    with pytest.raises(ConnectionRefusedError):
        fetch(ports[two])


@pytest.mark.parametrize("body", [
    {}, {"port": 0}, {"port": 65536}, {"port": "8000"}, {"port": 80, "address": "x"},
    {"port": 80, "address": "127.0.0.1:80"}, {"port": 80, "host_port": 70000}])
def test_a_port_that_is_none_is_refused(rest, body):
    sandbox = rest.fork("tiny", 1)[0]["id"]
    assert rest.call("POST", f"/v1/sandboxes/{sandbox}/ports", body)[0] == 400


def test_the_command_line_does_the_same(installation, rest):
    sandbox = rest.fork("tiny", 1)[0]["id"]
    assert rest.eval(sandbox, SERVER % sandbox)["error"] is None
    port = installation.command("port", sandbox, "8888", "--quiet")
    assert port.returncode == 0, port.stderr
    assert fetch(int(port.stdout)) == f"page of {sandbox}"
    told = installation.command("network", sandbox)
    assert told.stdout.decode().splitlines()[1] == f"published 127.0.0.1:{int(port.stdout)} -> 8888"
    assert installation.command("port", sandbox, "8888", "--close").returncode == 0
    assert installation.command("port", sandbox).stdout == b""
    changed = installation.command("network", sandbox, "nat", "--allow", "192.0.2.1:80", "--json")
    assert changed.returncode == 0, changed.stderr
    assert json.loads(changed.stdout)["allow"] == ["192.0.2.1:80"]
    wrong = installation.command("network", sandbox, "--allow", "192.0.2.1:80")
    assert wrong.returncode == 2 and b"goes with a KIND" in wrong.stderr


def test_a_sandbox_that_ends_by_itself_leaves_no_network(rest):
    sandbox = rest.fork("tiny", 1, per_child_netns=True)[0]
    watch = threading.Event()
    pid = sandbox["pid"]
    subprocess.run(["kill", "-9", str(pid)], check=True)
    rest.ok("POST", f"/v1/sandboxes/{sandbox['id']}/wait", {"state": "ended", "timeout_secs": 20})
    for _ in range(100):
        if not Path("/run/netns", sandbox["netns"]).exists():
            return
        watch.wait(0.1)
    pytest.fail("the network of a sandbox that has ended is there still")
