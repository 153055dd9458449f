"""Runs inside the lending machine: forkd, its guests run by KVM. Its last line is the verdict.

It is PID 1 there, whose end is a panic of the kernel: so it restarts the machine instead.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, "/opt/check")
from rest import Rest  # noqa: E402

FORKD = "/opt/forkd/forkd"
STATE = Path("/opt/state")
RECIPE = """\
name: kvm
engine: auto
image: {dir: /opt/image}
runtime: {language: python, interpreter: /usr/bin/python3}
warm: {imports: [json, random, uuid], deadline: 300s}
workdir: /workdir
limits: {disk: 64MiB, tmp: 32MiB, shm: 16MiB, cpus: 1}
"""


def say(text: str) -> None:
    print("[%7.1f s] %s" % (time.monotonic(), text), flush=True)


def daemon() -> Rest:
    environment = {**os.environ, "FORKD_STATE_DIR": str(STATE), "FORKD_RUN_DIR": "/run/forkd"}
    with open("/tmp/log", "wb") as log:
        subprocess.Popen([FORKD, "serve", "--bind", "none"], env=environment, stdin=log, stdout=log,
                         stderr=log)
    rest = Rest("/run/forkd/forkd.sock", 1200)
    while True:
        try:
            assert rest.ok("GET", "/healthz") == {"ok": True}
            return rest
        except OSError:
            assert time.monotonic() < 600, Path("/tmp/log").read_text()
            time.sleep(0.1)  # polling a socket that another process is about to make


def check() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    probe = ["/opt/forkd/native/build/forkd-vm", "kvm"]
    tried = subprocess.run(probe, capture_output=True, text=True)
    assert tried.returncode == 0, tried.stderr
    say("KVM: " + tried.stdout.strip())
    rest = daemon()
    say("the daemon answers")
    made = rest.ok("POST", "/v1/snapshots", {"recipe": RECIPE, "recipe_dir": "/"})
    assert made["engine"] == "vm", "`engine: auto` did not choose vm, though KVM runs a kernel"
    assert "accelerator=kvm" in Path("/tmp/log").read_text()
    say("warmed: %s ms" % rest.ok("GET", "/v1/snapshots/kvm/info")["warm_ms"])
    began = time.monotonic()
    sandboxes = [sandbox["id"] for sandbox in rest.fork("kvm", 3)]
    say("fork 3: %.2f s" % (time.monotonic() - began))
    drawn = {rest.eval(one, "random.random(), uuid.uuid4()")["result"] for one in sandboxes}
    assert len(drawn) == 3
    said = rest.exec(sandboxes[0], "sh", "-c", "hostname; grep -c hypervisor /proc/cpuinfo")
    assert said["stdout"].split()[0] == sandboxes[0], said
    rest.eval(sandboxes[0], "kept = 7")
    path = "/v1/sandboxes/%s/branch" % sandboxes[0]
    for mode in ("diff", "full", "live"):
        info = rest.ok("POST", path, {"tag": mode, "mode": mode})
        child = rest.fork(mode)[0]["id"]
        assert rest.eval(child, "kept")["result"] == "7"
        say("branch %s: pause %s ms, and its child has the state" % (mode, info["pause_ms"]))
    for sandbox in rest.ok("GET", "/v1/sandboxes"):
        rest.kill(sandbox["id"])
    say(json.dumps([line.split("msg=")[-1] for line in Path("/tmp/log").read_text().splitlines()
                    if "event=resumed" in line][:3]))


def main() -> None:
    try:
        check()
        say("e2e-kvm: ok")
    except BaseException as error:
        log = Path("/tmp/log")
        print(log.read_text()[-8000:] if log.exists() else "", flush=True)
        say("e2e-kvm: failed: %r" % error)
    os.sync()
    Path("/proc/sysrq-trigger").write_text("b")


if __name__ == "__main__":
    main()
