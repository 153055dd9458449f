"""What differs when an ordinary user starts the launcher. Run with FORKD_TEST_USER; the files of
launcher tests that show the same for root are run for that user, too (see Makefile)."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

import frames
import pytest
from frames import Client
from launcher import ROOTLESS, TEMPLATE_READY, USER, Launcher, finish
from launcher import family, launcher  # noqa: F401 (fixtures)

MIB = 1 << 20
pytestmark = pytest.mark.skipif(not ROOTLESS, reason="FORKD_TEST_USER names no ordinary user")


@pytest.fixture
def box(family: Launcher) -> Iterator[Client]:  # noqa: F811
    yield family.sandbox("box", memory_bytes=256 * MIB, pids_max=24)
    family.destroy("box")


def evaluate(client: Client, code: str) -> frames.Frame:
    return client.ask(frames.EVAL, [(frames.CODE, code)])


def test_it_says_so() -> None:
    started = Launcher()
    report = started.hello()
    assert report["rootless"] and report["userns"] and not report["idmapped_mounts"]
    finish(started)


def test_all_of_it_is_the_users(family: Launcher, box: Client) -> None:  # noqa: F811
    for pid in family.family():
        assert os.stat("/proc/%d" % pid).st_uid in (USER, 0), pid  # 0: those that nobody may trace
        status = Path("/proc/%d/status" % pid).read_text()
        assert "\nUid:" + 4 * ("\t%d" % USER) + "\n" in status


def test_the_root_looks_whole(box: Client) -> None:
    listed = box.sh("ls -d /usr/bin /etc/passwd /opt /var/tmp /tmp /dev/null /proc/self /sys/class")
    assert listed.exit_code == 0, listed.stderr
    assert box.sh("ls -A /home /root /run").stdout == b"/home:\n\n/root:\n\n/run:\n"
    for name in ("bin", "lib", "sbin"):  # links where the host's are
        same = os.path.islink("/" + name) == (box.sh("test -L /%s" % name).exit_code == 0)
        assert same, name


def test_files_of_the_host_stay_as_they_are(box: Client) -> None:
    assert box.sh("echo x >> /usr/bin/env").exit_code != 0
    assert box.sh("rm /usr/bin/env").exit_code != 0
    box.sh("rm -rf /etc/passwd /opt /srv")  # gone for the sandbox at most
    assert os.path.exists("/etc/passwd") and os.path.isdir("/opt") and os.path.isdir("/srv")
    assert box.sh("chmod 777 /dev/null").exit_code != 0
    assert box.sh("cat /etc/shadow").exit_code != 0
    made = box.sh("echo x > /etc/new && mkdir /root/d && mv /etc/new /root/d && cat /root/d/new")
    assert made.stdout == b"x\n", made.stderr
    assert not os.path.exists("/etc/new") and not os.path.exists("/root/d")


def test_what_warm_up_wrote_is_in_every_part(launcher: Launcher) -> None:  # noqa: F811
    script = "for place in ('/root', '/etc', '/tmp', '/var/tmp'):\n" \
             "  with open(place + '/warm', 'w') as file: file.write(place)"
    launcher.template(warm={"imports": [], "script": script, "script_name": "warm.py"},
                      writable=["/root", "/etc", "/tmp", "/var/tmp"])
    boxes = [launcher.sandbox(name) for name in ("one", "two")]
    for client in boxes:
        read = client.sh("cat /root/warm /etc/warm /tmp/warm /var/tmp/warm")
        assert read.stdout == b"/root/etc/tmp/var/tmp"
        client.sh("echo mine > /etc/warm")
    assert boxes[0].sh("rm /etc/warm").exit_code == 0
    assert boxes[1].sh("cat /etc/warm").stdout == b"mine\n"


def test_no_other_user_is_there(box: Client) -> None:
    with pytest.raises(frames.AgentError) as caught:
        box.run(["true"], user="65534")
    assert box.run(["id", "-u"], user="root").stdout == b"0\n"
    assert caught.value.kind in ("denied", "invalid")


def test_memory_is_a_limit_of_each_process(box: Client) -> None:
    assert evaluate(box, "len(bytearray(100 << 20))").text(frames.RESULT_TEXT) == str(100 << 20)
    refused = evaluate(box, "bytearray(400 << 20)")
    assert refused.text(frames.ERROR_TEXT).startswith("MemoryError")
    assert box.sh("python3 -c 'bytearray(400 << 20)'").exit_code == 1


def test_processes_are_counted_by_sandbox(family: Launcher, box: Client) -> None:  # noqa: F811
    bomb = box.sh("for i in $(seq 60); do sleep 60 & done; echo made")
    assert bomb.stdout != b"made\n" and b"ork" in bomb.stderr  # "Cannot fork"
    other = family.sandbox("sibling", pids_max=24)
    assert other.sh("sleep 0 & sleep 0 & wait; echo fine").stdout == b"fine\n"
    family.destroy("sibling")


def test_what_cannot_be_shown_is_told(launcher: Launcher) -> None:  # noqa: F811
    ident = launcher.open_template(hidden=["/root"])
    launcher.expect(ident, TEMPLATE_READY)
    # The machine's own mounts below /dev, /proc and /sys are every sandbox's own business.
    told = {line.split()[1] for line in launcher.logs[ident].decode().splitlines()
            if "left out" in line}
    mounts = {line.split()[4].split("/")[1] for line in open("/proc/self/mountinfo")
              if line.split()[4].count("/") > 1}
    assert told == {"/" + name for name in mounts - {"proc", "sys", "dev", "tmp", "run", "root"}}
