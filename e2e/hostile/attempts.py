"""What code in a sandbox tries. Each attempt is Python source that ends by setting `outcome`:
text that starts with "stopped" when it got nothing, anything else when it got what it wanted.

Every one of them runs as root of the sandbox. `HOST` is what the test prepared outside.
"""

from __future__ import annotations

from typing import Any, Dict, List

from conftest import Installation

PRELUDE = r"""
import ctypes, errno, os, signal, socket, stat, struct, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
outcome = "nothing was tried"

def call(number, *args):
    ctypes.set_errno(0)
    words = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in args]
    result = libc.syscall(number, *words)
    return 0 if result >= 0 else ctypes.get_errno()

def refused(*results):
    bad = [r for r in results if not r]
    return "stopped: errno %s" % (results,) if not bad else "GOT THROUGH %s" % (results,)

def attempt(function, *args, **more):
    try:
        return "done: %r" % (function(*args, **more),)
    except OSError as error:
        return "stopped: %s" % error

def write(path, text):
    with open(path, "w") as file:
        file.write(text)

def read(path):
    with open(path, "rb") as file:
        return file.read(4096)
"""

# Numbers of x86_64. What the kernel refuses to everybody without privilege is tried all the same:
# a mask or a filter that is lost one day shows up here.
_CALLS = {
    "mount_a_tmpfs": "165, b'none', b'/mnt', b'tmpfs', 0, 0",
    "mount_proc_again": "165, b'proc', b'/mnt', b'proc', 0, 0",
    "bind_the_root": "165, b'/', b'/mnt', 0, 4096, 0",
    "remount_proc_sys_writable": "165, b'none', b'/proc/sys', 0, 32 | 4096, 0",
    "unmount_a_mask": "166, b'/proc/sys', 2",
    "fsopen": "430, b'tmpfs', 0",
    "open_tree_clone": "428, 0xffffff9c, b'/', 1",
    "move_mount": "429, 0, b'', 0, b'', 4",
    "mount_setattr": "442, 0xffffff9c, b'/', 0, 0, 0",
    "pivot_root": "155, b'.', b'.'",
    "chroot": "161, b'/tmp'",
    "ptrace_the_agent": "101, 16, 1, 0, 0",
    "ptrace_the_runtime": "101, 16, 2, 0, 0",
    "read_memory_of_the_agent": "310, 1, 0, 0, 0, 0, 0",
    "write_memory_of_the_agent": "311, 1, 0, 0, 0, 0, 0",
    "take_a_descriptor_of_the_agent": "438, 3, 3, 0",
    "compare_kernel_objects": "312, 1, 1, 0, 0, 0",
    "new_user_namespace": "272, 0x10000000",
    "new_mount_namespace": "272, 0x20000",
    "clone_into_a_user_namespace": "56, 0x10000011, 0, 0, 0, 0",
    "clone3_into_a_user_namespace": "435, 0, 88",
    "setns": "308, 0, 0",
    "keyring_of_the_session": "250, 0, 0xfffffffd, 1, 0, 0",
    "new_keyring": "248, b'user', b'x', b'y', 1, 0xfffffffe",
    "request_a_key": "249, b'user', b'x', 0, 0",
    "bpf": "321, 0, 0, 0",
    "perf_event_open": "298, 0, 0, 0, 0",
    "userfaultfd": "323, 1",
    "io_uring": "425, 1, 0",
    "open_by_handle": "304, 0, 0, 0",
    "load_a_module": "175, 0, 0, 0",
    "load_a_module_from_a_file": "313, 0, 0, 0",
    "load_another_kernel": "246, 0, 0, 0",
    "reboot": "169, 0xfee1dead, 672274793, 0, 0",
    "read_the_kernel_log": "103, 3, 0, 0",
    "swap_on": "167, b'/x', 0",
    "process_accounting": "163, b'/tmp/acct'",
    "disk_quota": "179, 0, 0, 0, 0",
    "set_the_clock": "227, 0, 0",
    "slew_the_clock": "159, 0",
    "rename_the_host": "170, b'evil', 4",
    "io_ports": "172, 3",
    "no_address_randomisation": "135, 0x40000",
    "watch_the_whole_disk": "300, 0, 0",
    "type_into_a_terminal": "16, 0, 0x5412, b'x'",
    "socket_to_the_hypervisor": "41, 40, 1, 0",
    "packet_socket": "41, 17, 3, 0x0300",
    "crypto_socket": "41, 38, 5, 0",
    "raw_icmp_socket": "41, 2, 3, 1",
}

_SCRIPTS: Dict[str, str] = {
    "double_chroot": "outcome = attempt(os.chroot, '/tmp')",
    "write_core_pattern": "outcome = attempt(write, '/proc/sys/kernel/core_pattern', '|/bin/sh')",
    "write_sysrq": "outcome = attempt(write, '/proc/sysrq-trigger', 'b')",
    "write_ip_forward": "outcome = attempt(write, '/proc/sys/net/ipv4/ip_forward', '1')",
    "write_modprobe": "outcome = attempt(write, '/proc/sys/kernel/modprobe', '/tmp/x')",
    "drop_caches": "outcome = attempt(write, '/proc/sys/vm/drop_caches', '3')",
    "write_sys": "outcome = attempt(write, '/sys/kernel/mm/transparent_hugepage/enabled', 'x')",
    "map_uids_again": "outcome = attempt(write, '/proc/self/uid_map', '0 0 1')",
    "out_of_reach_of_oom": "outcome = attempt(write, '/proc/self/oom_score_adj', '-1000')",
    "cgroup_release_agent": "outcome = attempt(write, '/sys/fs/cgroup/release_agent', '/tmp/x')",
    "leave_the_cgroup": "outcome = attempt(write, '/sys/fs/cgroup/cgroup.procs', '0')",
    "rename_through_proc": "outcome = attempt(write, '/proc/sys/kernel/hostname', 'evil')",
    "kernel_addresses": r"""
lines = read("/proc/kallsyms").split()
outcome = "stopped: nothing in it" if not any(int(w, 16) for w in lines[:1]) else "addresses"
""",
    "make_a_block_device": "outcome = attempt(os.mknod, '/tmp/disk', 0o60600, os.makedev(254, 0))",
    "make_kernel_memory": "outcome = attempt(os.mknod, '/tmp/mem', 0o20600, os.makedev(1, 1))",
    "open_devices": r"""
names = "mem kmem kmsg port vda sda kvm fuse loop-control net/tun vhost-net vsock mapper/control"
found = [n for n in names.split() if not attempt(open, "/dev/" + n, "rb").startswith("stopped")]
outcome = "open: %s" % found if found else "stopped: none of them"
""",
    "secret_of_the_hosts_root": "outcome = attempt(read, HOST['secret'])",
    "secret_through_proc_1_root": "outcome = attempt(read, '/proc/1/root' + HOST['secret'])",
    "secret_through_proc_1_cwd": "outcome = attempt(read, '/proc/1/cwd' + HOST['secret'])",
    "secret_through_the_runtime": "outcome = attempt(read, '/proc/2/root' + HOST['secret'])",
    "secret_by_dots": "outcome = attempt(read, '/..' * 30 + HOST['secret'])",
    "secret_through_a_symbolic_link": r"""
os.symlink("/proc/1/root" + HOST["secret"], "/tmp/link")
outcome = attempt(read, "/tmp/link")
""",
    "secret_through_a_hard_link": "outcome = attempt(os.link, HOST['secret'], '/root/hard')",
    "hidden_file_of_the_host": "outcome = attempt(read, HOST['hidden'])",
    "password_hashes": "outcome = attempt(read, '/etc/shadow')",
    "state_of_the_daemon": "outcome = attempt(os.listdir, HOST['state'])",
    "memory_of_the_agent": "outcome = attempt(open, '/proc/1/mem', 'r+b')",
    "environment_of_the_agent": "outcome = attempt(read, '/proc/1/environ')",
    "files_of_the_agent": r"""
got = [attempt(os.open, "/proc/1/fd/" + n, os.O_RDONLY) for n in os.listdir("/proc/1/fd")]
outcome = "stopped: numbers only" if all(g.startswith("stopped") for g in got) else repr(got)
""",
    "program_of_the_agent": "outcome = attempt(open, '/proc/1/exe', 'rb')",
    "mapped_files_of_the_host": r"""
targets = sorted(os.listdir("/proc/self/map_files"))[:3]
got = [attempt(open, "/proc/self/map_files/" + t, "r+b") for t in targets]
outcome = "stopped" if all(g.startswith("stopped") for g in got) else repr(got)
""",
    "write_the_interpreter": "outcome = attempt(open, '/proc/self/exe', 'r+b')",
    "inherited_descriptors": r"""
links = [attempt(os.readlink, "/proc/%s/fd/%s" % (p, n))
         for p in ("self", "2") for n in os.listdir("/proc/%s/fd" % p)]
harmless = ("stopped", "done: '/dev/null", "done: 'socket:", "done: 'pipe:", "done: 'anon_inode:",
            "done: '/proc/", "done: '/memfd:", "done: '/dev/pts")
bad = [l for l in links if not l.startswith(harmless)]
outcome = repr(bad) if bad else "stopped: only our own"
""",
    "variables_of_the_daemon": r"""
text = read("/proc/self/environ") + read("/proc/2/environ")
words = [w for w in (b"FORKD_", b"JAVA", b"SUDO", HOST["state"].encode()) if w in text]
outcome = "%r in the environment" % words if words else "stopped: not there"
""",
    "paths_of_the_host_in_mounts": r"""
text = read("/proc/self/mountinfo") + read("/proc/self/mounts")
words = [w for w in (HOST["state"], HOST["run"], "/dev/vda", "/dev/sda") if w.encode() in text]
outcome = "%r in mountinfo" % words if words else "stopped: not there"
""",
    "processes_of_the_host": r"""
names = [read("/proc/%s/comm" % p) for p in os.listdir("/proc") if p.isdigit()]
outcome = "sees %r" % names if len(names) > 8 else "stopped: %d processes, all ours" % len(names)
""",
    "signal_a_process_of_the_host": "outcome = attempt(os.kill, HOST['pid'], 0)",
    "signal_the_agent": r"""
os.kill(1, signal.SIGKILL); os.kill(1, signal.SIGSTOP)
outcome = "stopped: it does not hear them (the test asks it next)"
""",
    "sockets_of_the_host_abstract": r"""
s = socket.socket(socket.AF_UNIX); outcome = attempt(s.connect, "\0" + HOST["abstract"])
""",
    "sockets_of_the_host_by_path": r"""
s = socket.socket(socket.AF_UNIX); outcome = attempt(s.connect, HOST["run"] + "/forkd.sock")
""",
    "loopback_of_the_host": r"""
s = socket.socket(); s.settimeout(3); outcome = attempt(s.connect, ("127.0.0.1", HOST["port"]))
""",
    "loopback_of_the_host_v6": r"""
s = socket.socket(socket.AF_INET6); s.settimeout(3)
outcome = attempt(s.connect, ("::ffff:127.0.0.1", HOST["port"]))
""",
    "metadata_address": r"""
s = socket.socket(); s.settimeout(3); outcome = attempt(s.connect, ("169.254.169.254", 80))
""",
    "private_ranges": r"""
got = []
for address in ("10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1"):
    s = socket.socket(); s.settimeout(3); got.append(attempt(s.connect, (address, 22)))
outcome = "stopped" if all(g.startswith("stopped") for g in got) else repr(got)
""",
    "datagram_to_the_outside": r"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
outcome = attempt(s.sendto, b"x", ("192.0.2.1", 53))
""",
    "broadcast": r"""
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
outcome = attempt(s.sendto, b"x", ("255.255.255.255", 9))
""",
    "change_the_mac_address": r"""
import fcntl
s = socket.socket(); request = b"lo".ljust(16, b"\0") + struct.pack("H14s", 1, b"\2forkd")
outcome = attempt(fcntl.ioctl, s, 0x8924, request)
""",
    "add_an_arp_entry": r"""
import fcntl
s = socket.socket(); outcome = attempt(fcntl.ioctl, s, 0x8955, bytes(68))
""",
    "add_an_interface": r"""
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
body = struct.pack("=BxHiII", 0, 0, 0, 0, 0) + struct.pack("=HH8s", 9, 3, b"evil0")
s.send(struct.pack("=IHHII", 16 + len(body), 16, 0x605, 1, 0) + body)
code = struct.unpack("=i", s.recv(4096)[16:20])[0]
outcome = "stopped: %s" % os.strerror(-code) if code < 0 else "an interface was made"
""",
    "add_a_route": r"""
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
body = struct.pack("=BBBBBBBBI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + struct.pack("=HHI", 8, 4, 1)
s.send(struct.pack("=IHHII", 16 + len(body), 24, 0x605, 1, 0) + body)
code = struct.unpack("=i", s.recv(4096)[16:20])[0]
outcome = "stopped: %s" % os.strerror(-code) if code < 0 else "a route was made"
""",
    "become_root_by_a_set_id_program": r"""
import shutil
shutil.copy("/bin/sh", "/root/sh"); os.chmod("/root/sh", 0o6755)
status = subprocess.run(["/root/sh", "-c", "grep CapEff /proc/self/status"], capture_output=True)
caps = int(status.stdout.split()[1], 16)
outcome = "stopped: no capability" if caps == 0 else "capabilities %x" % caps
""",
    "capabilities_in_a_file": r"""
import shutil
shutil.copy("/bin/true", "/root/true")
value = struct.pack("<IIIII", 0x02000001, 0xffffffff, 0, 0xffffffff, 0)
outcome = attempt(os.setxattr, "/root/true", "security.capability", value)
""",
    "trusted_attributes": "outcome = attempt(os.setxattr, '/root', 'trusted.overlay.opaque', b'y')",
    "write_a_program_of_the_host": "outcome = attempt(open, '/usr/bin/env', 'r+b')",
    "real_time_priority": r"""
outcome = attempt(os.sched_setscheduler, 0, os.SCHED_FIFO, os.sched_param(1))
""",
    "higher_priority": "outcome = attempt(os.nice, -10)",
    "more_resources_than_given": r"""
import resource
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard + 1, hard + 1)); outcome = "raised"
except (ValueError, OSError) as error:
    outcome = "stopped: %s" % error
""",
    "wake_the_crash_handler_of_the_host": r"""
import resource
before = resource.getrlimit(resource.RLIMIT_CORE)
try:
    resource.setrlimit(resource.RLIMIT_CORE, (before[1] + 1, before[1] + 1)); outcome = "raised"
except (ValueError, OSError) as error:
    outcome = "stopped: %s" % error if before == (1, 1) else "limit is %s" % (before,)
""",
    "lock_memory": r"""
import mmap
area = mmap.mmap(-1, 64 << 20)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
code = libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(64 << 20))
outcome = "stopped" if code else "64 MiB are locked"
""",
}

# By name; each is one test.
ATTEMPTS: Dict[str, str] = {
    **{name: "outcome = refused(call(%s))" % args for name, args in _CALLS.items()},
    **_SCRIPTS,
}


def outcome(installation: Installation, pair: List[str], name: str, outside: Dict[str, Any],
            seconds: int) -> str:
    """What an attempt in the first of two siblings has got; both answer as before."""
    host = {**outside, "state": str(installation.state), "run": str(installation.run_dir)}
    code = PRELUDE + "HOST = %r\n%s\nprint(outcome)" % (host, ATTEMPTS[name])
    rest = installation.rest
    reply = rest.exec(pair[0], "/usr/bin/python3", "-c", code, timeout_secs=seconds)
    assert reply["exit_code"] == 0, reply
    for sandbox in pair:
        assert rest.ok("POST", f"/v1/sandboxes/{sandbox}/ping", {})["pong"] is True
    return reply["stdout"]
