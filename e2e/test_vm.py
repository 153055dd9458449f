"""Virtual machines as a user drives them."""

import json
import os
import subprocess
import time
import warnings

import host
from machines import machines, recipe  # noqa: F401 (a fixture)
from test_names import OTHER, PUBLIC, allow, fetch, machine, refused


def test_a_machine_is_reached_at_its_address_in_a_network_that_ip_netns_knows(machines):
    rest = machines.rest
    one, two = rest.fork("vm-e2e", 2)
    assert one["netns"] != two["netns"]
    assert one["guest_addr"].startswith("10.42.0.2")
    assert one["netns"] in host.network_namespaces()
    code = ("import socket, threading; s = socket.socket(); s.bind(('', 8888)); s.listen();"
            "threading.Thread(target=lambda: s.accept()[0].sendall(b'here'), daemon=True).start()")
    assert rest.eval(one["id"], code)["error"] is None
    ask = ("import socket; s = socket.create_connection(('10.42.0.2', 8888), 10);"
           "print(s.recv(9).decode())")
    said = subprocess.run(["ip", "netns", "exec", one["netns"], "/usr/bin/python3", "-c", ask],
                          capture_output=True, text=True, timeout=30, check=True)
    assert said.stdout == "here\n"
    for sandbox in (one, two):
        rest.kill(sandbox["id"])
    assert one["netns"] not in host.network_namespaces()


def test_a_name_may_move_while_the_machine_runs(machines):  # noqa: F811
    rest = machines.rest
    rest.ok("POST", "/v1/snapshots", recipe("vm-names", network="nat"))
    sandbox = rest.fork("vm-names")[0]["id"]
    machines.names.addresses = {"moves.test": [PUBLIC], "other.test": [OTHER]}
    allow(rest, sandbox, "moves.test:80")
    with machine():
        assert fetch(rest, sandbox, "moves.test") == "from " + PUBLIC
        assert fetch(rest, sandbox, "other.test") == "no name"
        names = list(machines.names.asked)
        machines.names.addresses["moves.test"] = [OTHER]
        assert fetch(rest, sandbox, "moves.test") == "from " + OTHER
    assert "other.test" not in names and "other.test udp 53" in refused(rest, sandbox)
    rest.kill(sandbox)
    rest.ok("DELETE", "/v1/snapshots/vm-names")


def test_the_pool_hands_out_machines_that_stood_still(machines):
    rest = machines.rest
    deadline = time.monotonic() + 60
    while b"forkd_sandboxes_parked 1" not in rest.raw("GET", "/metrics")[1]:
        assert time.monotonic() < deadline
        time.sleep(0.05)  # the pool is filled in the background
    (sandbox,) = rest.fork("vm-e2e", 1)
    ahead = float(rest.eval(sandbox["id"], "__import__('time').time()")["result"]) - time.time()
    assert -5 < ahead < 1
    rest.kill(sandbox["id"])


def test_what_a_user_does_with_a_machine_and_that_a_branch_outlives_the_daemon(machines):
    rest = machines.rest
    source = rest.fork("vm-e2e")[0]["id"]
    assert rest.eval(source, "steps = ['one']; 6 * 7")["result"] == "42"
    script = "echo kept > /root/f; hostname; cat /proc/sys/kernel/osrelease"
    said = rest.exec(source, "sh", "-c", script)
    hostname, kernel = said["stdout"].split()
    assert (hostname, said["exit_code"]) == (source, 0)
    assert kernel.endswith("-cloud-amd64") and kernel != os.uname().release
    for mode in ("full", "diff"):
        info = rest.ok("POST", f"/v1/sandboxes/{source}/branch", {"tag": mode, "mode": mode})
        assert info["bootable"] and info["pause_ms"] < 5000, info
        rest.eval(source, "steps.append('later')")
    rest.kill(source)
    assert rest.call("GET", f"/v1/sandboxes/{source}")[0] == 404
    machines.stop()
    machines.start()
    for mode, expected in (("full", "['one']"), ("diff", "['one', 'later']")):
        children = [child["id"] for child in rest.fork(mode, 2)]
        drawn = {rest.eval(child, "__import__('random').random()")["result"] for child in children}
        assert len(drawn) == 2
        for child in children:
            assert rest.eval(child, "steps")["result"] == expected
            assert rest.exec(child, "cat", "/root/f")["stdout"] == "kept\n"
            rest.kill(child)
        rest.ok("DELETE", f"/v1/snapshots/{mode}")


def test_doctor_tells_whether_kvm_runs_a_guest(machines):
    """And this run says it, too: .ci/run looks for that line."""
    checks = json.loads(machines.command("doctor", "--json").stdout)
    (kvm,) = [check for check in checks if check["name"] == "kvm"]
    assert kvm["text"]
    how = "run by KVM" if kvm["verdict"] == "pass" else "emulated (TCG), without KVM"
    assert kvm["verdict"] == "pass" or kvm["remedy"]
    warnings.warn(f"virtual machines of this run were {how}: {kvm['text']}")
