"""Names that a sandbox may reach: what tells it the addresses is forkd's, and cannot be fooled."""

import json
import sys
from pathlib import Path
from typing import Iterator

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "native" / "test"))

from conftest import TINY, Installation, own_daemon  # noqa: E402
from name_server import NameServer  # noqa: E402
from outside import OTHER, PRIVATE, PUBLIC, machine  # noqa: E402
from rest import Rest  # noqa: E402

LISTED = TINY.replace("name: tiny", "name: listed") + 'network: nat\nallow: ["moves.test:80"]\n'
FETCH = """
import socket
def fetch():
    try: return socket.create_connection((%r, %d), 3).recv(99).decode()
    except socket.gaierror as error: return "no name"
    except OSError as error: return "no way"
fetch()
"""


@pytest.fixture(scope="module")
def names() -> NameServer:
    return NameServer()


@pytest.fixture(scope="module")
def installed(names: NameServer) -> Iterator[Installation]:
    options = ("--bind", "none", "--name-servers", names.address)
    with machine(), own_daemon(*options) as installed:
        yield installed


@pytest.fixture
def daemon(installed: Installation) -> Rest:
    return installed.rest


def test_logs_tell_what_happened_and_what_was_refused(installed, daemon, names):
    names.addresses = {"moves.test": [PUBLIC]}
    sandbox = daemon.fork("tiny")[0]["id"]
    allow(daemon, sandbox, "moves.test:80")
    fetch(daemon, sandbox, "unlisted.test")
    fetch(daemon, sandbox, OTHER)
    told = installed.command("logs", sandbox).stdout.decode().splitlines()
    assert f"sandbox.created     {sandbox}  from tiny" in told[0]
    assert f"sandbox.network     {sandbox}  nat" in told[1]
    assert told[2:] == [f"refused in the last hour: {OTHER} tcp 80",
                        "refused in the last hour: unlisted.test udp 53"]
    assert json.loads(installed.command("logs", sandbox, "--json").stdout)["refused"] == [
        f"{OTHER} tcp 80", "unlisted.test udp 53"]
    daemon.kill(sandbox)
    after = installed.command("logs", sandbox)
    assert after.returncode == 0 and after.stdout.decode().splitlines()[:2] == told[:2]
    unknown = installed.command("logs", "sb-0-0000")
    assert unknown.returncode == 4 and b"sb-0-0000" in unknown.stderr


def allow(rest: Rest, sandbox: str, *destinations: str) -> None:
    rest.ok("PUT", f"/v1/sandboxes/{sandbox}/network",
            {"network": "nat", "allow": list(destinations)})


def fetch(rest: Rest, sandbox: str, name: str, port: int = 80) -> str:
    return eval(rest.eval(sandbox, FETCH % (name, port))["result"])


def refused(rest: Rest, sandbox: str) -> list:
    return rest.ok("GET", f"/v1/sandboxes/{sandbox}/network")["refused"]


def test_a_name_may_move_while_the_sandbox_runs(daemon, names):
    names.addresses = {"moves.test": [PUBLIC], "other.test": [OTHER]}
    sandbox = daemon.fork("tiny")[0]["id"]
    allow(daemon, sandbox, "moves.test:80")
    assert fetch(daemon, sandbox, "moves.test") == "from " + PUBLIC
    assert fetch(daemon, sandbox, OTHER) == "no way"
    names.addresses["moves.test"] = [OTHER]
    assert fetch(daemon, sandbox, "moves.test") == "from " + OTHER
    assert fetch(daemon, sandbox, PUBLIC) == "from " + PUBLIC, "who kept the old one goes on"
    assert fetch(daemon, sandbox, "moves.test", 81) == "no way"
    assert f"{OTHER} tcp 81" in refused(daemon, sandbox)


def test_a_name_that_is_not_listed_is_not_even_looked_up(daemon, names):
    names.addresses = {"moves.test": [PUBLIC], "secret-in-a-name.test": [PUBLIC]}
    sandbox = daemon.fork("tiny")[0]["id"]
    allow(daemon, sandbox, "moves.test:80")
    names.asked.clear()
    assert fetch(daemon, sandbox, "secret-in-a-name.test") == "no name"
    assert fetch(daemon, sandbox, "moves.test.secret-in-a-name.test") == "no name"
    assert names.asked == [], "nothing gets out by way of names"
    assert "secret-in-a-name.test udp 53" in refused(daemon, sandbox)


def test_a_name_cannot_be_swapped_for_an_address_inside(daemon, names):
    names.addresses = {"moves.test": [PUBLIC]}
    sandbox = daemon.fork("tiny")[0]["id"]
    allow(daemon, sandbox, "moves.test")
    for inside in (PRIVATE, "169.254.169.254", "127.0.0.1", "10.42.0.1"):
        names.addresses["moves.test"] = [inside]
        assert fetch(daemon, sandbox, "moves.test") == "no name"
        assert fetch(daemon, sandbox, inside) == "no way"
    status, told = daemon.call("PUT", f"/v1/sandboxes/{sandbox}/network",
                               {"network": "nat", "allow": ["moves.test"]})
    assert status == 400 and "leads to 10.42.0.1, which is not public" in told["error"]
    names.addresses["moves.test"] = [PUBLIC]
    assert fetch(daemon, sandbox, "moves.test") == "from " + PUBLIC, "the old list is in force"


def test_a_pattern_and_a_list_that_changes(daemon, names):
    names.addresses = {"one.deep.test": [PUBLIC], "deep.test": [OTHER]}
    sandbox = daemon.fork("tiny")[0]["id"]
    allow(daemon, sandbox, "*.deep.test:80-81")
    assert fetch(daemon, sandbox, "one.deep.test", 81) == "from " + PUBLIC
    assert fetch(daemon, sandbox, "deep.test") == "no name"
    allow(daemon, sandbox, "deep.test:80")
    assert fetch(daemon, sandbox, "one.deep.test") == "no name"
    assert fetch(daemon, sandbox, PUBLIC) == "no way"
    assert fetch(daemon, sandbox, "deep.test") == "from " + OTHER
    daemon.ok("PUT", f"/v1/sandboxes/{sandbox}/network", {"network": "none"})
    assert fetch(daemon, sandbox, "deep.test") == "no name"


def test_every_child_of_a_recipe_has_a_name_server_of_its_own(daemon, names):
    names.addresses = {"moves.test": [PUBLIC]}
    daemon.ok("POST", "/v1/snapshots", {"recipe": LISTED, "recipe_dir": "/"})
    one, two = [s["id"] for s in daemon.fork("listed", 2)]
    assert fetch(daemon, one, "unlisted.test") == "no name"
    assert refused(daemon, one) == ["unlisted.test udp 53"] and refused(daemon, two) == []
    names.addresses["moves.test"] = [OTHER]
    assert fetch(daemon, two, "moves.test") == "from " + OTHER
    assert fetch(daemon, one, OTHER) == "no way", "what one has learned is its own"
    names.addresses = {}
    status, told = daemon.call("POST", "/v1/sandboxes", {"snapshot_tag": "listed", "n": 1})
    assert status == 400 and "moves.test is unknown" in told["error"]
