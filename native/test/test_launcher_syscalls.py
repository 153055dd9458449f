"""The filter of system calls, tried from inside a sandbox."""
from __future__ import annotations

import os

import frames
import pytest
from frames import Client
from launcher import ROOTLESS, Launcher
from launcher import family, launcher  # noqa: F401 (fixtures)
from looking import Look, command, evaluation
from looking import box, look  # noqa: F401 (fixtures)

SYSCALLS = """
import ctypes, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(number, *[ctypes.c_ulong(a) if isinstance(a, int) else a for a in args])
    return 0 if result >= 0 else ctypes.get_errno()
"""
NEW_USER, NEW_NS = 0x10000000, 0x20000
FORBIDDEN = {
    "mount": "165, b'none', b'/mnt', b'tmpfs', 0, 0", "umount2": "166, b'/proc/keys', 2",
    "open_tree": "428, 0xffffff9c, b'/', 1", "fsopen": "430, b'tmpfs', 0",
    "move_mount": "429, 0, b'', 0, b'', 4", "mount_setattr": "442, 0, b'', 0, 0, 0",
    "pivot_root": "155, b'.', b'.'", "chroot": "161, b'/tmp'", "setns": "308, 0, 0",
    "unshare user": "272, 0x10000000", "unshare mount": "272, 0x20000",
    "clone new user": "56, 0x10000011, 0, 0, 0, 0", "ptrace": "101, 16, 1, 0, 0",
    "ptrace traceme": "101, 0, 0, 0, 0", "process_vm_readv": "310, 1, 0, 0, 0, 0, 0",
    "process_vm_writev": "311, 1, 0, 0, 0, 0, 0", "pidfd_getfd": "438, 0, 0, 0",
    "kcmp": "312, 1, 1, 0, 0, 0", "keyctl": "250, 0, 0, 0, 0, 0", "add_key": "248, 0, 0, 0, 0, 0",
    "request_key": "249, 0, 0, 0, 0", "bpf": "321, 0, 0, 0", "perf_event_open": "298, 0, 0, 0, 0",
    "userfaultfd": "323, 1", "io_uring_setup": "425, 1, 0", "io_uring_enter": "426, 0, 0, 0, 0",
    "open_by_handle_at": "304, 0, 0, 0", "name_to_handle_at": "303, 0, b'/', 0, 0, 0",
    "init_module": "175, 0, 0, 0", "finit_module": "313, 0, 0, 0", "kexec_load": "246, 0, 0, 0",
    "kexec_file_load": "320, 0, 0, 0, 0, 0", "reboot": "169, 0, 0, 0", "syslog": "103, 3, 0, 0",
    "swapon": "167, b'/x', 0", "acct": "163, 0", "quotactl": "179, 0, 0, 0, 0",
    "settimeofday": "164, 0, 0", "clock_settime": "227, 0, 0", "adjtimex": "159, 0",
    "sethostname": "170, b'evil', 4", "iopl": "172, 3", "ioperm": "173, 0, 1, 1",
    "personality": "135, 0x40000", "modify_ldt": "154, 0, 0, 0", "fanotify_init": "300, 0, 0",
    "socket vsock": "41, 40, 1, 0", "socket packet": "41, 17, 3, 0", "socket alg": "41, 38, 5, 0",
    "tiocsti": "16, 0, 0x5412, b'x'", "tiocsti high bits": "16, 0, 0x100005412, b'x'",
    "tioclinux": "16, 0, 0x541c, b'x'",
}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")
def test_system_calls_that_are_refused(look: Look) -> None:
    table = "{%s}" % ", ".join("%r: call(%s)" % item for item in FORBIDDEN.items())
    assert {name: errno for name, errno in look(table, SYSCALLS).items() if errno != 1} == {}
    unknown = look("call(435, 0, 0), call(470), call(0x40000000 + 39)", SYSCALLS)
    assert unknown == (38, 38, 38), "clone3, too new, x32"


def check_nested_mounts(box: Client) -> None:
    nested = "unshare --user --map-root-user --mount --pid --fork sh -c '%s'"
    made = box.sh(nested % "mount -t tmpfs none /mnt && findmnt -no FSTYPE /mnt", user="1000")
    assert made.stdout == b"tmpfs\n", made.stderr
    assert box.sh("findmnt /mnt").exit_code == 1
    masked = box.sh(nested % "mount -t proc proc /proc || echo refused", user="1000")
    assert masked.stdout == b"refused\n", "no mask can be got rid of by another /proc"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")
def test_system_calls_that_are_asked_for(launcher: Launcher) -> None:  # noqa: F811
    launcher.template(syscalls=["unshare", "mount", "kcmp"])
    box = launcher.sandbox()
    assert box.sh("unshare --user --mount true").exit_code == 0
    if not ROOTLESS:  # to map an id takes SETFCAP, or to be no root (user_namespaces(7))
        check_nested_mounts(box)
    asked = ("kcmp", "mount", "unshare user", "unshare mount", "clone new user")
    rest = {name: call for name, call in FORBIDDEN.items() if name not in asked}
    table = "{%s}" % ", ".join("%r: call(%s)" % item for item in rest.items())
    for way in (command, evaluation):
        answers = way(box, table, SYSCALLS)
        assert {name: errno for name, errno in answers.items() if errno != 1} == {}
        # A mount takes a capability that it has not; the filter would not say so either.
        assert way(box, "call(312, %s, %s, 0, 0, 0)" % (2 * ("__import__('os').getpid()",)),
                   SYSCALLS) == 0
        assert way(box, "call(165, b'none', b'/mnt', b'tmpfs', 0, 0)", SYSCALLS) == 1


def test_a_system_call_that_cannot_be_asked_for(launcher: Launcher) -> None:  # noqa: F811
    with pytest.raises(frames.AgentError, match="setns cannot be asked for") as caught:
        launcher.template(syscalls=["ptrace", "setns"])
    assert caught.value.kind == "invalid"


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="numbers of x86_64")
def test_system_calls_that_programs_need(look: Look) -> None:
    before = SYSCALLS + """
import socket, subprocess, threading
def works():
    for family in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
        socket.socket(family).close()
    socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0).close()
    thread = threading.Thread(target=lambda: None); thread.start(); thread.join()
    return subprocess.run(['true']).returncode, call(135, 0xffffffff), call(39)
"""
    assert look("works()", before) == (0, 0, 0)
