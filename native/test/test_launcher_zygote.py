"""What the warm-up, which is the user's code, can see and do."""
from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, List

import frames
import pytest
from launcher import FIRST_ID, OF_THE_HOST, ROOTLESS, Launcher, comm
from launcher import launcher  # noqa: F401 (fixture)

PROBE = """
import ctypes, json, os, signal
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(number, *[ctypes.c_ulong(a) if isinstance(a, int) else a for a in args])
    return 0 if result >= 0 else ctypes.get_errno()
def attempt(function, *args):
    try:
        function(*args)
        return 0
    except OSError as e:
        return e.errno
def opened(path, mode="rb"):
    return attempt(lambda: open(path, mode).close())
"""


def ask(launcher: Launcher, expressions: str, **options: Any) -> Any:
    """Evaluates in a warm-up; the answer comes as output."""
    script = PROBE + "print('ANSWER' + json.dumps(%s))" % expressions
    ident = launcher.open_template(
        warm={"imports": [], "script": script, "script_name": "probe.py"}, **options)
    launcher.expect(ident, 0xA2)
    answer = bytes(launcher.logs[ident]).split(b"ANSWER", 1)[1].split(b"\n")[0]
    return json.loads(answer)


def test_it_is_root_of_its_user_namespace_only(launcher: Launcher) -> None:
    zygote = launcher.template().int(14)
    status = dict(line.split(":\t", 1) for line in
                  Path("/proc/%d/status" % zygote).read_text().splitlines())
    assert status["Uid"].split() == [str(FIRST_ID)] * 4 and status["Groups"].strip() == ""
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    # CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP SYS_CHROOT SYS_PTRACE SYS_ADMIN
    expected = sum(1 << n for n in (0, 1, 3, 4, 5, 6, 7, 8, 18, 19, 21))
    assert int(status["CapPrm"], 16) == int(status["CapBnd"], 16) == expected
    assert os.readlink("/proc/%d/ns/user" % zygote) != os.readlink("/proc/self/ns/user")


def test_its_root_holds_nothing_else(launcher: Launcher) -> None:
    names, mounts = ask(launcher, "(os.listdir('/'), open('/proc/self/mountinfo').read())",
                        hidden=["/root", "/opt"], writable=["/root"])
    assert not {"k", "h", "l", "m", "python", "opt"} & set(names)
    for word in ("ext4", "/dev/vda", launcher.run_dir, OF_THE_HOST):
        assert word not in mounts


def test_it_can_leave_neither_its_root_nor_its_namespaces(launcher: Launcher) -> None:
    answers = ask(launcher, """{
        "mount": call(165, b"none", b"/mnt", b"tmpfs", 0, 0), "umount": call(166, b"/", 2),
        "chroot": call(161, b"/tmp"), "pivot_root": call(155, b".", b"."),
        "open_tree": call(428, 0xffffff9c, b"/", 1), "unshare": call(272, 0x10000000),
        "ptrace": call(101, 16, 1, 0, 0), "vm_readv": call(310, 1, 0, 0, 0, 0, 0),
        "bpf": call(321, 0, 0, 0), "keyctl": call(250, 0, 0, 0, 0, 0),
        "handle": call(304, 0, 0, 0), "io_uring": call(425, 1, 0), "vsock": call(41, 40, 1, 0),
        "mknod": attempt(os.mknod, "/tmp/sda", 0o60600, os.makedev(254, 0)),
    }""")
    assert {name: errno for name, errno in answers.items() if errno != 1} == {}


def test_the_warden_is_out_of_its_reach(launcher: Launcher) -> None:
    answers = ask(launcher, """{
        "root": attempt(os.listdir, "/proc/1/root/"), "mem": opened("/proc/1/mem"),
        "environ": opened("/proc/1/environ"), "link": attempt(os.readlink, "/proc/1/fd/0"),
        "fd": attempt(os.listdir, "/proc/1/fd"),
        "namespace": opened("/proc/1/ns/mnt"), "exe": opened("/proc/1/exe"),
    }""")
    if ROOTLESS:  # the numbers are told to who has the same id, what they lead to is not
        del answers["fd"]
    assert set(answers.values()) <= {1, 13}, answers
    kill, stop = ask(launcher, "(attempt(os.kill, 1, 9), attempt(os.kill, 1, 19))",
                     name="killer", uid_base=800000)
    launcher.fork(["alive"], template="killer")


def test_it_has_a_clean_environment_and_no_foreign_descriptor(launcher: Launcher) -> None:
    os.environ["FORKD_TEST_SECRET"] = "x"
    env, links = ask(launcher, "(dict(os.environ), {n: os.readlink('/proc/self/fd/' + n) for n in"
                     " os.listdir('/proc/self/fd') if os.path.lexists('/proc/self/fd/' + n)})",
                     env=["PATH=/usr/bin:/bin", "PYTHONPATH=/.forkd/python", "MINE=1"])
    assert env["MINE"] == "1" and "FORKD_TEST_SECRET" not in env
    assert links["0"] == "/dev/null" and links["1"].startswith("pipe:") and links["1"] == links["2"]
    assert links["3"].startswith("socket:")
    # Its own pid namespace, and the directory that is being listed.
    own = {link.split("[")[0] for name, link in links.items() if name not in "0123"}
    assert {link for link in own if not link.startswith("/proc/")} <= {"pid:"}


@pytest.mark.rooted  # tells families apart by their ids
def test_the_memory_of_its_family_holds_nothing_of_another(launcher: Launcher) -> None:
    secret = "s3cret-" + "0123456789abcdef" * 4
    launcher.template("one", env=["PATH=/bin", "PYTHONPATH=/.forkd/python", "TOKEN=" + secret])
    launcher.template("two", uid_base=800000)
    launcher.fork(["of-two"], template="two")
    launcher.connect("of-two").ask(frames.PING_RUNTIME)  # so that it has become what it will be

    def family(base: int) -> List[int]:
        return [pid for pid in launcher.family()
                if "\nUid:\t%d\t" % base in Path("/proc/%d/status" % pid).read_text()]
    assert any(secret.encode() in memory_of(pid) for pid in family(700000))
    assert len(family(800000)) >= 4
    for pid in family(800000):
        assert secret.encode() not in memory_of(pid), comm(pid)


def memory_of(pid: int) -> bytes:
    found = []
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb") as memory:
        for line in maps:
            first, last = (int(word, 16) for word in line.split()[0].split("-"))
            if "rw" not in line.split()[1] or last - first > 256 << 20:
                continue
            try:
                memory.seek(first)
                found.append(memory.read(last - first))
            except (OSError, ValueError):
                continue
    return b"".join(found)


@pytest.mark.parametrize("path", ["/way/x", "/way"])
def test_a_hidden_path_behind_a_link(launcher: Launcher, path: str) -> None:
    image = Path(tempfile.mkdtemp(dir="/dev/shm"))
    try:
        image.chmod(0o755)
        os.symlink("/etc", image / "way")
        layers = [{"path": str(image), "copy": 1}, {"path": "/"}]
        if path == "/way":
            launcher.template(layers=layers, hidden=[path])
        else:
            with pytest.raises(Exception, match="/way is not a directory"):
                launcher.template(layers=layers, hidden=[path])
    finally:
        shutil.rmtree(image)
