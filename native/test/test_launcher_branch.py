"""A running sandbox becomes a template of its own."""
from __future__ import annotations

import os
from pathlib import Path
from typing import Dict

import frames
import pytest
from branching import branch, evaluate, freeze, grandchild, open_branch, release
from frames import AgentError
from launcher import (BYTES_COPIED, FIRST_ID, TEMPLATE_ENDED, TEMPLATE_READY, Launcher,
                      launcher)  # noqa: F401 (fixture)


def test_a_grandchild_goes_on_where_the_source_was(launcher: Launcher) -> None:
    launcher.template(warm={"imports": ["json"]})
    source = launcher.sandbox("box")
    evaluate(source, "x = [1, 2, 3]\nclass A: value = 5\na = A()")
    branch(launcher, source)
    evaluate(source, "x.append(4)")
    children = [grandchild(launcher, name) for name in ("one", "two")]
    evaluate(children[0], "x.append(9)")
    assert [evaluate(client, "x") for client in (*children, source)] == [
        "[1, 2, 3, 9]", "[1, 2, 3]", "[1, 2, 3, 4]"]
    assert evaluate(children[1], "a.value, A().value, json.dumps(x)") == "(5, 5, '[1, 2, 3]')"


def test_memory_of_every_kind_is_carried_over(launcher: Launcher) -> None:
    """Large blocks, the heap, freed memory, a library loaded since, a deep stack, mappings."""
    launcher.template()
    source = launcher.sandbox("box")
    evaluate(source, """
import array, ctypes, hashlib, mmap, sqlite3, decimal, sys
big = bytes(range(256)) * 200000
heap = [str(n) * 3 for n in range(200000)]
gone = [bytearray(1000) for _ in range(50000)]
del gone
private = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
private[5000:5005] = b"hello"
shared = mmap.mmap(-1, 1 << 16)
shared[100:103] = b"abc"
database = sqlite3.connect(":memory:")
database.execute("create table t (n)")
database.execute("insert into t values (7)")
def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
sys.setrecursionlimit(20000)
deep(9000)
digest = hashlib.sha256(big).hexdigest()
""")
    ready = branch(launcher, source)
    assert 40e6 < ready.int(BYTES_COPIED) < 200e6
    first, second = grandchild(launcher, "one"), grandchild(launcher, "two")
    evaluate(first, "shared[100:103] = b'xyz'; private[5000:5005] = b'world'")
    for client in (second, source):
        assert evaluate(client, "hashlib.sha256(big).hexdigest() == digest, "
                                "hashlib.sha256(''.join(heap).encode()).hexdigest()[:0], "
                                "heap[-1], private[5000:5005], shared[100:103]") == (
            "(True, '', '199999199999199999', b'hello', b'abc')")
        assert evaluate(client, "database.execute('select n from t').fetchall(), deep(9000)") == (
            "([(7,)], 9000)")
        assert evaluate(client, "len([bytearray(100000) for _ in range(500)])") == "500"


def test_files_are_those_of_that_moment(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    source.sh("""
        cd /root; mkdir -p d/e; echo a > d/e/f; ln d/e/f g; ln -s g l; mkfifo p; chmod 600 g
        truncate -s 5M hole; echo end >> hole; rm -r /var/tmp 2>/dev/null; mkdir /var/tmp
        echo t > /tmp/t; echo s > /dev/shm/s
    """)
    branch(launcher, source)
    source.sh("echo changed > /root/g; echo changed > /tmp/t; rm /dev/shm/s")
    first, second = grandchild(launcher, "one"), grandchild(launcher, "two")
    first.sh("echo mine > /root/g; echo mine > /tmp/t; echo mine > /dev/shm/s")
    seen = second.sh("""
        cat /root/d/e/f /root/l /tmp/t /dev/shm/s; stat -c '%a %h %u' /root/g; tail -c 4 /root/hole
        stat -c '%F' /root/p; stat -c '%s' /root/hole; hostname
        cat /etc/hostname; stat -c %a /tmp /dev/shm; touch /tmp/n /dev/shm/n /root/n && echo ok
    """)
    assert seen.stdout.decode().split("\n") == [
        "a", "a", "t", "s", "600 2 0", "end", "fifo", "5242884", "two", "two", "1777",
        "1777", "ok", ""]


def test_what_was_removed_stays_removed(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    source.sh("echo x > /root/kept; echo x > /root/gone; mkdir /root/dir; echo x > /root/dir/old")
    branch(launcher, source, template="second")
    child = grandchild(launcher, "child")
    child.sh("rm /root/gone; rm -r /root/dir; mkdir /root/dir; echo x > /root/dir/new; rm /tmp/* ")
    branch(launcher, child, "child", "third")
    last = grandchild(launcher, "last", "third")
    assert last.sh("cd /root; echo *; echo dir/*").stdout == b"dir kept\ndir/new\n"


def test_a_branch_outlives_its_source(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    evaluate(source, "x = 1")
    branch(launcher, source)
    launcher.destroy("box")
    assert evaluate(grandchild(launcher), "x") == "1"


def test_a_branch_ends_with_the_template_that_was_warmed(launcher: Launcher) -> None:
    launcher.template()
    branch(launcher, launcher.sandbox("box"))
    launcher.fork(["child"], "second")
    launcher.discard("base")
    assert launcher.event(TEMPLATE_ENDED).text(frames.NAME) == "second"


def test_its_end_leaves_the_source_and_the_siblings(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    evaluate(source, "x = 1")
    branch(launcher, source)
    branch(launcher, source, template="other")
    launcher.fork(["child"], "second")
    launcher.discard("second")
    assert evaluate(source, "x") == "1"
    assert evaluate(grandchild(launcher, "child2", "other"), "x") == "1"


def test_branches_of_branches(launcher: Launcher) -> None:
    launcher.template()
    client, name = launcher.sandbox("box"), "box"
    evaluate(client, "x = []")
    for n in range(32):
        evaluate(client, "x.append(%d); open('/root/%d', 'w').close()" % (n, n))
        branch(launcher, client, name, "t%d" % n)
        if n:
            launcher.destroy(name)
        name = "s%d" % n
        client = grandchild(launcher, name, "t%d" % n)
    assert evaluate(client, "x == list(range(32))") == "True"
    assert evaluate(client, "import os; len(os.listdir('/root'))") == "32"
    ident, pid, _ = freeze(client)
    with pytest.raises(AgentError, match="32 links"):
        launcher.expect(open_branch(launcher, pid, name, "one-too-many"), TEMPLATE_READY)
    release(client, ident)
    for n in range(31):
        launcher.discard("t%d" % n)
    assert evaluate(client, "len(x), open('/root/0').read()") == "(32, '')"


def refusal(launcher: Launcher, code: str) -> str:
    launcher.template(name="base")
    source = launcher.sandbox("box")
    evaluate(source, code)
    ident, pid, report = freeze(source)
    release(source, ident)
    assert pid == 0 and evaluate(source, "1 + 1") == "2"
    return " ".join(report["refused"])


@pytest.mark.parametrize("code, named", [
    ("import threading; e = threading.Event(); t = threading.Thread(target=e.wait, name='waiter',"
     " daemon=True); t.start()", "thread: waiter"),
    ("import subprocess; p = subprocess.Popen(['sleep', '600'])", "child_process: sleep"),
    ("import socket; s = socket.create_server(('127.0.0.1', 4711))", "listens on 127.0.0.1:4711"),
    ("import os; pipe = os.pipe()", "pipe: descriptor"),
    ("f = open('/root/written', 'w'); f.write('x'); f.flush()", "file: descriptor"),
])
def test_what_cannot_be_carried_is_refused_by_name(launcher: Launcher, code: str,
                                                   named: str) -> None:
    assert named in refusal(launcher, code)


def test_what_stays_with_the_source_is_told(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    running = source.start(["sleep", "600"])
    source.expect(running, frames.STARTED)
    evaluate(source, "import signal; signal.signal(signal.SIGUSR1, print); "
                     "signal.setitimer(signal.ITIMER_VIRTUAL, 1000)")
    ident, pid, report = freeze(source)
    assert pid and report["refused"] == []
    text = " ".join(report["warnings"])
    assert "process: sleep" in text and "SIGUSR1" in text and "timer" in text
    release(source, ident)
    assert evaluate(source, "signal.getsignal(signal.SIGUSR1) is print") == "True"


def test_state_of_the_process_is_carried_over(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    evaluate(source, """
import os, sys, resource, builtins
os.chdir('/usr'); os.umask(0o027); os.environ['MINE'] = 'yes'; sys.path.append('/opt/mine')
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))
lines = open('/etc/passwd'); first = lines.readline()
""")
    evaluate(source, "6 * 7")
    branch(launcher, source)
    child = grandchild(launcher)
    assert evaluate(child, "os.getcwd(), os.umask(0o027), os.environ['MINE'], sys.path[-1], _") == (
        "('/usr', 23, 'yes', '/opt/mine', 42)")
    assert evaluate(child, "resource.getrlimit(resource.RLIMIT_NOFILE)[0]") == "100"
    assert evaluate(child, "lines.readline() == open('/etc/passwd').readlines()[1]") == "True"


def test_grandchildren_differ(launcher: Launcher) -> None:
    launcher.template(warm={"imports": ["random", "tempfile", "uuid"]})
    source = launcher.sandbox("box")
    evaluate(source, "random.random(); tempfile.mkdtemp()")
    branch(launcher, source)
    code = ("random.random(), next(tempfile._get_candidate_names()), uuid.uuid1(), "
            "open('/etc/machine-id').read()")
    clients = [grandchild(launcher, name) for name in ("one", "two")]
    answers = [eval(evaluate(client, code), {"UUID": str}) for client in clients]
    assert all(a != b for a, b in zip(*answers))


def status_of(pid: int) -> Dict[str, str]:
    lines = Path("/proc/%d/status" % pid).read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_its_zygote_has_power_over_its_own_family_only(launcher: Launcher) -> None:
    first = launcher.template().int(frames.PID)
    zygote = branch(launcher, launcher.sandbox("box")).int(frames.PID)
    status = status_of(zygote)
    assert status["Uid"].split() == [str(FIRST_ID)] * 4 and status["Groups"].strip() == ""
    assert status["NoNewPrivs"] == "1" and status["Seccomp"] == "2"
    assert status["CapBnd"] == status_of(first)["CapBnd"] == status["CapPrm"]
    for kind in ("user", "pid", "mnt", "net", "ipc", "uts"):
        assert os.readlink("/proc/%d/ns/%s" % (zygote, kind)) != (
            os.readlink("/proc/%d/ns/%s" % (first, kind))), kind
    open_files = {os.readlink("/proc/%d/fd/%s" % (zygote, fd)).split(":")[0]
                  for fd in os.listdir("/proc/%d/fd" % zygote)}
    assert open_files <= {"/dev/null", "pipe", "socket", "pid"}


def test_a_sandbox_of_a_branch_is_as_confined_as_any(launcher: Launcher) -> None:
    launcher.template()
    source = launcher.sandbox("box")
    branch(launcher, source)
    seen = []
    for client in (source, grandchild(launcher)):
        seen.append(client.sh("""
            grep -E '^(Cap|NoNew|Seccomp:)' /proc/self/status; cut -d' ' -f5- /proc/self/mountinfo |
            sed 's/,size=[^ ]*//; s/lowerdir=[^,]*//' | grep -v 'overlay'
            ls -l /proc/self/fd | grep -c socket; cat /proc/self/cgroup; cat /proc/1/uid_map
        """).stdout)
    assert seen[0] == seen[1]
    mounts = grandchild(launcher, "other").sh("cat /proc/self/mountinfo").stdout.decode()
    for word in ("ext4", launcher.run_dir, "branch-"):
        assert word not in mounts or word == "ext4"
