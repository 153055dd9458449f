"""What a sandbox is, seen from inside: by a command of the agent and by its warm runtime."""
from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Dict, Iterator

import frames
import pytest
from frames import Client
from launcher import FIRST_ID, OF_THE_HOST, ROOTLESS, Launcher, comm, finish
from launcher import family  # noqa: F401 (fixture)
from looking import Look, command, evaluation
from looking import box, look  # noqa: F401 (fixtures)

LINUX = tuple(int(word) for word in os.uname().release.split("-")[0].split(".")[:2])


def test_identity(look: Look) -> None:
    assert look("open('/etc/hostname').read()") == "box\n"
    assert look("os.uname().nodename") == "box"
    assert len(look("open('/etc/machine-id').read()")) == 33
    assert "127.0.1.1 box" in look("open('/etc/hosts').read()")
    assert look("open('/etc/resolv.conf').read()") == ""
    assert look("open('/proc/1/comm').read()") == "forkd-agent\n"
    assert look("open('/proc/1/cmdline').read()") == "forkd\0"


def test_ids(look: Look) -> None:
    assert look("os.getresuid() + os.getresgid() + tuple(os.getgroups())") == (0,) * 6
    ids = ["0", "0", "1" if ROOTLESS else "65536"]
    assert look("open('/proc/self/uid_map').read().split()") == ids
    assert look("open('/proc/self/gid_map').read().split()") == ids


def test_the_host_sees_an_unprivileged_user(family: Launcher) -> None:  # noqa: F811
    outcome, = family.fork(["uids"])
    family.connect("uids").ask(frames.PING_RUNTIME)
    for pid in (outcome.int(frames.PID), outcome.int(82)):
        status = Path("/proc/%d/status" % pid).read_text()
        assert "Uid:" + 4 * ("\t%d" % FIRST_ID) + "\n" in status
        assert "Groups:\t \n" in status
    family.destroy("uids")


def test_no_privilege_is_left(look: Look) -> None:
    status = look("dict(l.split(':', 1) for l in open('/proc/self/status').read().splitlines())")
    assert {status[name].strip() for name in
            ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"


def test_the_agent_keeps_what_it_needs_only(family: Launcher, box: Client) -> None:  # noqa: F811
    status = Path("/proc/%d/status" % family.named("forkd-agent")[0]).read_text()
    fields = dict(line.split(":\t", 1) for line in status.splitlines())
    # CHOWN 0, DAC_OVERRIDE 1, FOWNER 3, KILL 5, SETGID 6, SETUID 7
    assert int(fields["CapPrm"], 16) == int(fields["CapEff"], 16) == 0b11101011
    assert int(fields["CapBnd"], 16) == int(fields["CapAmb"], 16) == 0
    assert fields["Seccomp"] == "2" and fields["NoNewPrivs"] == "1"


def test_every_namespace_is_its_own(family: Launcher) -> None:  # noqa: F811
    made = family.fork(["ns1", "ns2"])
    kinds = ["pid", "mnt", "net", "ipc", "uts", "user", "cgroup"]

    def namespaces(pid: int) -> Dict[str, str]:
        return {kind: os.readlink("/proc/%d/ns/%s" % (pid, kind)) for kind in kinds}
    # FORKED says that the runtime is forked; that it is inside says its first answer.
    family.connect("ns1").ask(frames.PING_RUNTIME)
    first, second = (namespaces(outcome.int(frames.PID)) for outcome in made)
    runtime = namespaces(made[0].int(82))
    zygote = namespaces([p for p in family.family()
                         if "zygote" in Path("/proc/%d/cmdline" % p).read_text()][0])
    host = namespaces(os.getpid())
    assert runtime == first
    for kind in kinds:
        assert len({first[kind], second[kind], zygote[kind], host[kind]}) == 4, kind
    family.destroy("ns1", "ns2")


def test_only_own_processes_are_seen(look: Look) -> None:
    pids = look("[int(name) for name in os.listdir('/proc') if name.isdigit()]")
    assert 1 in pids and len(pids) <= 5 and max(pids) < 200


def test_hidden_and_writable_directories(look: Look, family: Launcher) -> None:  # noqa: F811
    assert look("[n for n in os.listdir('/root') if n.startswith('.')]") == []
    assert os.listdir("/root") != []
    assert look("oct(os.stat('/root').st_mode), os.stat('/root').st_uid") == ("0o40700", 0)
    assert look("oct(os.stat('/tmp').st_mode)") == "0o41777"
    assert look("oct(os.stat('/var/tmp').st_mode)") == "0o41777"
    assert look("os.listdir('/home')") == []
    assert look("os.path.exists('/.forkd/python/forkd_runtime')") is False
    look("open('/root/mine', 'w').write('x')")
    assert look("os.listdir('/root')") == ["mine"]
    look("os.unlink('/root/mine')")


def test_files_of_the_hosts_root_stay_closed(look: Look) -> None:
    secret = Path(tempfile.mkdtemp(dir="/var/lib"))
    try:
        secret.chmod(0o755)
        (secret / "secret").write_text("x")
        (secret / "secret").chmod(0o600)
        (secret / "open").write_text("y")
        (secret / "open").chmod(0o644)
        before = """
        def attempt(path, mode):
            try:
                return open(path, mode).read()
            except OSError as e:
                return e.errno
        """
        assert look("attempt('%s/open', 'r')" % secret, before) == "y"
        assert look("attempt('%s/secret', 'r')" % secret, before) == 13
        assert look("attempt('/etc/shadow', 'r')", before) == 13
        assert look("attempt('/usr/bin/env', 'r+b')", before) in (13, 75)
    finally:
        shutil.rmtree(secret)


def test_mounts_tell_nothing_about_the_host(look: Look, family: Launcher) -> None:  # noqa: F811
    for name in ("mountinfo", "mounts", "mountstats"):
        text = look("open('/proc/self/%s').read()" % name)
        for word in ("/dev/vda", family.run_dir, family.instance, OF_THE_HOST, "ext4"):
            assert word not in text, (name, word)
    points = look("[l.split()[4] for l in open('/proc/self/mountinfo')]")
    assert points[0] == "/" and "/m" not in points and "/k" not in points
    assert look("open('/proc/self/cgroup').read().count('forkd')") == 0


def test_sizes_of_file_systems_are_bound(look: Look) -> None:
    size = "(lambda s: s.f_blocks * s.f_frsize)(os.statvfs('%s'))"
    assert look(size % "/") == 64 << 20
    assert look(size % "/tmp") == 8 << 20
    assert look(size % "/dev/shm") == 4 << 20
    before = """
    def fill(path, size):
        try:
            with open(path, 'wb') as f:
                for _ in range(size >> 20):
                    f.write(bytes(1 << 20))
            return 0
        except OSError as e:
            return e.errno
        finally:
            os.unlink(path)
    """
    assert look("fill('/root/big', 80 << 20)", before) == 28
    assert look("fill('/tmp/big', 9 << 20)", before) == 28
    assert look("os.statvfs('/root').f_files <= 65536") is True


def test_the_kernel_cannot_be_changed(look: Look) -> None:
    before = """
    def attempt(path, flags):
        try:
            os.close(os.open(path, flags))
            return 0
        except OSError as e:
            return e.errno
    """
    read_only = look("[l.split()[4] for l in open('/proc/self/mountinfo') if ' ro,' in l]")
    assert {"/proc/sys", "/proc/irq", "/proc/bus", "/proc/fs", "/sys", "/dev"} <= set(read_only)
    for path in ("net/ipv4/ip_forward", "kernel/msgmax", "kernel/core_pattern", "vm/drop_caches"):
        assert look("attempt('/proc/sys/%s', os.O_WRONLY)" % path, before) in (13, 30), path
    assert look("attempt('/sys/kernel/mm/transparent_hugepage/enabled', 1)", before) in (13, 30)
    assert look("attempt('/dev/kmsg', 0), attempt('/dev/mem', 0)", before) == (2, 2)
    assert look("attempt('/dev/null', 2), attempt('/dev/urandom', 0)", before) == (0, 0)
    for name in ("keys", "kallsyms", "interrupts", "config.gz", "key-users"):
        if os.path.exists("/proc/" + name):
            assert look("open('/proc/%s').read()" % name) == "", name
    for name in ("kcore", "kmsg", "timer_list", "slabinfo", "kpagecount", "vmallocinfo"):
        if os.path.exists("/proc/" + name):
            assert look("attempt('/proc/%s', 0)" % name, before) in (0, 13)
            if look("attempt('/proc/%s', 0)" % name, before) == 0:
                assert look("open('/proc/%s', 'rb').read(1)" % name) == b"", name
    assert look("os.listdir('/sys/firmware')") == []
    assert look("attempt('/sys/fs/cgroup/x', os.O_CREAT | os.O_WRONLY)", before) in (2, 13, 30)


def test_the_agent_is_out_of_reach(look: Look) -> None:
    before = """
    def attempt(function, *args):
        try:
            return function(*args)
        except OSError as e:
            return e.errno
    """
    for name in ("environ", "maps", "mem"):
        assert look("attempt(lambda: open('/proc/1/%s').read())" % name, before) == 13, name
    for name in ("exe", "root", "cwd", "ns/mnt", "fd/3"):
        assert look("attempt(os.readlink, '/proc/1/%s')" % name, before) == 13, name
    assert look("attempt(os.kill, 1, 9)", before) in (None, 1)
    assert look("1 + 1") == 2


def test_descriptors_and_environment(look: Look, box: Client) -> None:
    links = look("[os.readlink('/proc/self/fd/' + n) for n in os.listdir('/proc/self/fd') "
                 "if os.path.islink('/proc/self/fd/' + n)]")
    for link in links:
        harmless = ("/dev/null", "socket:", "pipe:", "anon_inode:", "/proc/", "/memfd:")
        assert link.startswith(harmless), links
    assert "SECRET" not in look("open('/proc/self/environ').read()")


def test_the_network_is_a_loopback(look: Look) -> None:
    assert look("sorted(os.listdir('/sys/class/net'))")[-1] == "lo"
    before = """
    import socket
    def talk():
        with socket.socket() as server, socket.socket() as client:
            server.bind(('127.0.0.1', 0)); server.listen()
            client.connect(server.getsockname())
            client.sendall(b'hi')
            return server.accept()[0].recv(9)
    def reach():
        with socket.socket() as client:
            return client.connect_ex(('10.0.0.1', 80))
    """
    assert look("talk()", before) == b"hi"
    assert look("reach()", before) == 101


def test_terminals_work(box: Client) -> None:
    assert command(box, "os.ttyname(os.openpty()[1])") == "/dev/pts/0"


def test_writes_are_private(family: Launcher) -> None:  # noqa: F811
    one, two = (family.sandbox(name) for name in ("one", "two"))
    script = "for d in /root /tmp /dev/shm; do echo x > $d/f; done; ls /root /tmp /dev/shm"
    for client in (one, two):
        assert client.sh(script).stdout.split() == b"/dev/shm: f /root: f /tmp: f".split()
    one.sh("rm /root/f")
    assert two.sh("ls /root").stdout == b"f\n"
    assert not os.path.exists("/root/f") and not os.path.exists("/dev/shm/f")
    family.destroy("one", "two")


@pytest.fixture(scope="module")
def image() -> Iterator[str]:
    """A small image on a file system of its own: an overlay refuses layers that contain others."""
    path = Path(tempfile.mkdtemp(dir="/dev/shm"))
    path.chmod(0o755)
    (path / "image").mkdir()
    (path / "image" / "tool").write_text("#!/bin/sh\necho tool\n")
    (path / "image" / "tool").chmod(0o4755)
    (path / "image" / "secret").write_text("for root\n")
    (path / "image" / "secret").chmod(0o600)
    (path / "home").mkdir()
    (path / "home" / "user").mkdir(mode=0o755)
    os.chown(path / "home" / "user", 1000, 1000)
    yield str(path)
    shutil.rmtree(path)


@pytest.mark.rooted
@pytest.mark.parametrize("how", ["idmap", "copy"])
def test_layers_of_an_image_belong_to_the_sandbox(image: str, how: str) -> None:
    if how == "idmap" and LINUX < (6, 3):
        pytest.skip("id-mapped mounts of a tmpfs, on which the test's image is: Linux 6.3")
    started = Launcher()
    report = started.hello()
    layer = {"path": image, "idmap": 1, "copy": int(how == "copy")}
    started.template(layers=[layer, {"path": "/"}], hidden=["/image", "/etc/passwd"],
                     writable=["/home/user/work", "/root"])
    box = started.sandbox()  # noqa
    looks = "cat /image/secret; stat -c '%u %a' /image/secret /home/user /home/user/work"
    assert box.sh(looks).stdout == b"for root\n0 600\n1000 755\n0 755\n"
    # What is hidden is hidden of the base; a layer above it puts its own in that place.
    assert box.sh("ls /image; ls /etc/passwd").stdout == b"secret\ntool\n"
    assert box.sh("echo more >> /image/secret").exit_code == 0
    # To remove a directory of the image takes an extended attribute on the tmpfs.
    removed = box.sh("rm -r /image && mkdir /image && ls -A /image")
    assert (removed.exit_code == 0) == report["tmpfs_xattr"], removed.stderr
    assert sorted(os.listdir(image + "/image")) == ["secret", "tool"]
    finish(started)


@pytest.mark.rooted
def test_paths_of_the_image_are_not_followed(image: str) -> None:
    os.symlink("/etc", image + "/way")
    started = Launcher()
    started.hello()
    with pytest.raises(frames.AgentError, match="/way is not a directory"):
        started.template(layers=[{"path": image, "copy": 1}, {"path": "/"}], writable=["/way/x"])
    assert not os.path.exists("/etc/x")
    finish(started)


def test_only_the_agent_is_spared_by_the_oom_killer(
        family: Launcher, box: Client) -> None:  # noqa: F811
    assert command(box, "open('/proc/self/oom_score_adj').read()") == "0\n"
    assert evaluation(box, "open('/proc/self/oom_score_adj').read()") == "0\n"
    zygotes = [pid for pid in family.family() if comm(pid).startswith("python")]
    assert zygotes
    for pid in zygotes:
        assert Path("/proc/%d/oom_score_adj" % pid).read_text() == "0\n"
    # Lower only where this process may do that.
    agent = family.named("forkd-agent")[0]
    assert int(Path("/proc/%d/oom_score_adj" % agent).read_text()) <= 0
