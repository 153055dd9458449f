"""EXEC of a real agent: what runs, as whom, with which streams, and how it ends."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from conftest import Agent, SANITIZED, wait_for
from frames import (BYTES, CANCEL, DATA, EOF, EXITED, INPUT, OUTPUT, SIGNAL, SIGNAL_NUMBER,
                    STARTED, STREAM, WINDOW, AgentError, Client)


def failure(client: Client, argv, **options) -> AgentError:
    with pytest.raises(AgentError) as caught:
        client.run(argv, **options)
    return caught.value


def alive(client: Client, marker: str) -> bool:
    """Whether a process with that argument exists (the marker is not in the search's own line)."""
    out = client.sh("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'").stdout
    return marker.encode() in out.split(b"\n")


def test_output_and_exit_code(client):
    result = client.sh("echo out; echo err >&2; exit 7")
    assert (result.stdout, result.stderr, result.exit_code) == (b"out\n", b"err\n", 7)
    assert result.signal is None and result.timed_out == 0
    assert result.pid > 1 and 0 < result.duration_us < 10_000_000


def test_started_comes_before_what_a_fast_command_prints(client):
    # Sent at once: by the time that the agent looks at the first ones, they have printed and ended.
    for ident in [client.start(["echo", "hi"]) for _ in range(100)]:
        assert client.next(ident).type == STARTED
        assert client.finish(ident).stdout == b"hi\n"


@pytest.mark.parametrize("code", [0, 1, 127, 255])
def test_exit_codes(client, code):
    assert client.sh("exit %d" % code).exit_code == code


def test_end_by_signal(client):
    result = client.sh("kill -SEGV $$")
    assert result.signal == signal.SIGSEGV and result.exit_code is None


def test_command_not_found_names_it(client):
    error = failure(client, ["no-such-command-at-all"])
    assert error.kind == "not_found" and error.errno == 2
    assert "no-such-command-at-all" in str(error)


def test_path_not_found_names_it(client):
    error = failure(client, ["/nowhere/tool"])
    assert error.kind == "not_found" and "/nowhere/tool" in str(error)


def test_not_executable(client, workdir):
    (workdir / "data").write_text("text")
    assert failure(client, [str(workdir / "data")]).kind == "denied"


def test_wrong_format(client, workdir):
    (workdir / "data").write_bytes(b"\x00\x01 no program")
    os.chmod(workdir / "data", 0o755)
    assert failure(client, [str(workdir / "data")]).kind == "invalid"


def test_path_of_the_request_is_searched(client, workdir):
    tool = workdir / "special-tool"
    tool.write_text("#!/bin/sh\necho found\n")
    tool.chmod(0o755)
    env = ["PATH=/nowhere:%s:/bin" % workdir]
    assert client.run(["special-tool"], env=env).stdout == b"found\n"
    assert failure(client, ["special-tool"]).kind == "not_found"


def test_environment_is_exactly_the_given(client):
    env = ["PATH=/usr/bin", "A=1", "B=two words", "EMPTY="]
    assert client.run(["env"], env=env).stdout.decode().splitlines() == env


def test_bad_environment(client):
    assert failure(client, ["true"], env=["novalue"]).kind == "invalid"


def test_cwd(client, workdir):
    assert client.run(["pwd"], cwd=str(workdir)).stdout.decode().strip() == str(workdir)
    assert client.run(["/bin/pwd"]).stdout == b"/\n"
    error = failure(client, ["pwd"], cwd="/nowhere")
    assert error.kind == "invalid" and "/nowhere" in str(error)
    assert failure(client, ["pwd"], cwd="relative").kind == "invalid"


def test_user_by_name_number_and_pair(client):
    assert client.run(["id", "-un"], user="nobody").stdout == b"nobody\n"
    assert client.run(["id", "-u"], user="65534").stdout == b"65534\n"
    assert client.sh("id -u; id -g; id -G", user="12:34").stdout == b"12\n34\n34\n"
    assert client.sh("id -u; id -g", user="4321").stdout == b"4321\n0\n"
    assert failure(client, ["id"], user="no-such-user").kind == "invalid"
    assert failure(client, ["id"], user="1:x").kind == "invalid"


def test_supplementary_groups(client):
    import grp
    import pwd
    member = next(((m, g.gr_gid) for g in grp.getgrall() for m in g.gr_mem
                   if m in [p.pw_name for p in pwd.getpwall()]), None)
    if member is None:
        pytest.skip("no user of this machine has a supplementary group")
    name, gid = member
    assert str(gid) in client.run(["id", "-G"], user=name).stdout.decode().split()


def status_of(client: Client, *names: str, **options) -> dict:
    text = client.run(["cat", "/proc/self/status"], **options).stdout.decode()
    found = dict(line.split(":", 1) for line in text.splitlines())
    return {name: found[name].strip() for name in names}


@pytest.mark.parametrize("options", [{}, {"user": "0"}, {"user": "nobody"}])
def test_no_capabilities_whoever_runs(client, options):
    caps = status_of(client, "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", **options)
    assert set(caps.values()) == {"0" * 16}
    assert status_of(client, "NoNewPrivs") == {"NoNewPrivs": "1"}


def test_process_state(client):
    state = status_of(client, "SigBlk", "SigIgn", "Umask", "NSpgid", "NSsid", "NSpid")
    assert state["SigBlk"] == state["SigIgn"] == "0" * 16 and state["Umask"] == "0022"
    assert state["NSpgid"].split()[-1] == state["NSsid"].split()[-1] == state["NSpid"].split()[-1]


def test_the_oom_killer_prefers_commands(client, agent):
    assert client.run(["cat", "/proc/self/oom_score_adj"]).stdout == b"0\n"
    shielded = subprocess.run(["sh", "-c", "echo -1000 > /proc/self/oom_score_adj"],
                              stderr=subprocess.DEVNULL).returncode == 0
    expected = "-1000\n" if shielded else "0\n"  # not every machine gives root that right
    assert Path("/proc/%d/oom_score_adj" % agent.pid).read_text() == expected


def test_no_descriptor_leaks(client, agent):
    others = [client.start(["sleep", "30"], stdin=1) for _ in range(5)]
    for ident in others:
        client.expect(ident, STARTED)
    # 3 is the directory that ls itself reads.
    assert client.run(["ls", "/proc/self/fd"]).stdout.split() == [b"0", b"1", b"2", b"3"]
    assert client.run(["readlink", "/proc/self/fd/0"]).stdout == b"/dev/null\n"
    assert client.sh("ulimit -n").stdout.strip().isdigit()


def test_open_file_limit_is_not_raised(client, agent):
    soft = client.sh("ulimit -Sn").stdout.decode().strip()
    import resource
    assert int(soft) == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_stdin_echo_of_10_mb(client):
    data = os.urandom(10 << 20)
    ident = client.start(["cat"], stdin=1)
    credit, sent, received = 262144, 0, []
    length = 0
    while length < len(data):
        while credit > 0 and sent < len(data):
            chunk = data[sent:sent + min(65536, credit)]
            client.send(INPUT, ident, [(DATA, chunk)])
            sent, credit = sent + len(chunk), credit - len(chunk)
        frame = client.next(ident)
        if frame.type == OUTPUT:
            received.append(frame.bytes(DATA))
            length += len(received[-1])
            client.send(WINDOW, ident, [(STREAM, 1), (BYTES, len(received[-1]))])
        elif frame.type != STARTED:
            credit += frame.int(BYTES)
    client.send(INPUT, ident, [(EOF, 1)])
    assert client.finish(ident).exit_code == 0
    assert b"".join(received) == data


def test_eof_with_the_last_data(client):
    ident = client.start(["wc", "-c"], stdin=1)
    client.send(INPUT, ident, [(DATA, b"12345"), (EOF, 1)])
    assert client.finish(ident).stdout == b"5\n"


def test_input_to_a_command_that_does_not_listen(client):
    ident = client.start(["sh", "-c", "exec 0<&-; sleep 0.3; echo done"], stdin=1)
    client.expect(ident, STARTED)
    total = 0
    for _ in range(20):  # five times the credit: it has to come back
        client.send(INPUT, ident, [(DATA, bytes(65536))])
        total += 65536
        while total > 131072:
            frame = client.next(ident)
            if frame.type == EXITED:
                return
            if frame.type == OUTPUT:
                continue
            total -= frame.int(BYTES)
    assert client.finish(ident).exit_code == 0


def test_binary_output(client):
    result = client.run(["python3", "-c",
                         "import sys; sys.stdout.buffer.write(bytes(range(256)) * 1000)"],
                        env=["PATH=/usr/bin:/bin"])
    assert result.stdout == bytes(range(256)) * 1000


def test_no_output_without_credit(client):
    ident = client.start(["sh", "-c", "yes | head -c 1000000"], window=1000)
    client.expect(ident, STARTED)
    got = client.expect(ident, OUTPUT).bytes(DATA)
    assert len(got) <= 1000
    while len(got) < 1000:
        got += client.expect(ident, OUTPUT).bytes(DATA)
    with pytest.raises(TimeoutError):
        client.next(ident, 0.3)
    client.send(WINDOW, ident, [(STREAM, 1), (BYTES, 1 << 30)])
    assert len(client.finish(ident).stdout) == 999_000


def test_output_of_the_dead_waits_for_credit(client):
    ident = client.start(["sh", "-c", "head -c 50000 /dev/zero; exit 3"], window=0)
    client.expect(ident, STARTED)
    with pytest.raises(TimeoutError):
        client.next(ident, 0.5)  # it ended long ago, its output must not be lost
    client.send(WINDOW, ident, [(STREAM, 1), (BYTES, 100_000)])
    result = client.finish(ident)
    assert len(result.stdout) == 50000 and result.exit_code == 3


def test_signal_reaches_the_group(client):
    ident = client.start(["sh", "-c", "sleep 100 & trap 'echo got; kill %1; exit 5' USR1;"
                          " echo up; wait"])
    client.expect(ident, STARTED)
    client.expect(ident, OUTPUT)
    client.send(SIGNAL, ident, [(SIGNAL_NUMBER, signal.SIGUSR1)])
    result = client.finish(ident)
    assert result.stdout == b"got\n" and result.exit_code == 5


def test_signal_to_an_unknown_id_is_ignored(client):
    client.send(SIGNAL, 999, [(SIGNAL_NUMBER, 9)])
    client.send(CANCEL, 999)
    client.send(INPUT, 999, [(DATA, b"x")])
    assert client.run(["true"]).exit_code == 0


def test_timeout_ends_by_sigterm(client):
    begin = time.monotonic()
    result = client.run(["sleep", "100"], timeout_ms=200)
    assert result.timed_out == 1 and result.signal == signal.SIGTERM
    assert time.monotonic() - begin < 2


def test_timeout_kills_the_whole_group_after_the_grace(client):
    result = client.sh("trap '' TERM; (trap '' TERM; exec -a grandchild-4711 sleep 100) & "
                       "while :; do sleep 0.05; done", timeout_ms=200, grace_ms=200)
    assert result.timed_out == 1 and result.signal == signal.SIGKILL
    wait_for(lambda: not alive(client, "grandchild-4711"))


def test_timeout_spares_nobody_when_the_leader_heeds_it(client):
    result = client.run(["bash", "-c", "(trap '' TERM; exec -a stubborn-4712 sleep 100) &"
                         " sleep 100"], timeout_ms=300)
    assert result.timed_out == 1 and result.signal == signal.SIGTERM
    wait_for(lambda: not alive(client, "stubborn-4712"))


def test_timeout_does_not_fire_after_the_end(client):
    assert client.run(["true"], timeout_ms=60).timed_out == 0
    assert client.sh("sleep 0.2; echo here").stdout == b"here\n"


def test_grandchild_holding_the_pipe(client):
    begin = time.monotonic()
    result = client.sh("echo early; sleep 5 & exit 4")
    assert result.stdout == b"early\n" and result.exit_code == 4
    assert 0.15 < time.monotonic() - begin < 1.5


def test_grandchild_flooding_the_pipe(client):
    begin = time.monotonic()
    result = client.sh("yes & exit 4")
    assert result.exit_code == 4 and time.monotonic() - begin < 5


def test_cancel(client):
    ident = client.start(["bash", "-c", "(exec -a cancelled-4713 sleep 100) & sleep 100"])
    client.expect(ident, STARTED)
    client.send(CANCEL, ident)
    assert client.finish(ident).signal == signal.SIGKILL
    wait_for(lambda: not alive(client, "cancelled-4713"))


def test_cancel_needs_no_credit(client):
    ident = client.start(["sh", "-c", "yes"], window=0)
    client.expect(ident, STARTED)
    client.send(CANCEL, ident)
    assert client.expect(ident, EXITED).int(SIGNAL_NUMBER) == signal.SIGKILL


def test_100_at_once(client, agent):
    before = agent.fds()
    idents = [client.start(["sh", "-c", "read x; echo $x; exit %d" % (i % 100)], stdin=1)
              for i in range(100)]
    for i, ident in enumerate(idents):
        client.send(INPUT, ident, [(DATA, b"line %d\n" % i), (EOF, 1)])
    for i, ident in enumerate(idents):
        result = client.finish(ident)
        assert result.stdout == b"line %d\n" % i and result.exit_code == i % 100
    wait_for(lambda: agent.fds() == before, what="all descriptors being closed")
    assert agent.zombies() == []


def test_connection_drop_kills_its_processes_only(agent):
    first, second = agent.connect(), agent.connect()
    lost = first.start(["bash", "-c", "(exec -a dropped-4714 sleep 100) & exec sleep 100"])
    kept = second.start(["sh", "-c", "read x; echo $x"], stdin=1)
    first.expect(lost, STARTED)
    assert wait_for(lambda: alive(second, "dropped-4714"))
    first.close()
    wait_for(lambda: not alive(second, "dropped-4714"))
    second.send(INPUT, kept, [(DATA, b"still here\n"), (EOF, 1)])
    assert second.finish(kept).stdout == b"still here\n"


def test_orphans_are_reaped(client, agent):
    client.sh("for i in 1 2 3 4 5; do (setsid sh -c 'sleep 0.1' &) ; done")
    wait_for(lambda: client.run(["sh", "-c", "ls -d /proc/[0-9]* | wc -l"]).stdout.strip()
             in (b"3", b"4"), what="all orphans being gone")
    assert agent.zombies() == []


@pytest.mark.measures
def test_1_gib_with_a_slow_reader(client, agent):
    ident = client.start(["head", "-c", str(1 << 30), "/dev/zero"])
    client.expect(ident, STARTED)
    time.sleep(0.5)  # the reader is slow: all credit is used up meanwhile
    peak, total, count = agent.rss_kib(), 0, 0
    while True:
        frame = client.next(ident)
        if frame.type == EXITED:
            break
        size = len(frame.bytes(DATA))
        total += size
        count += 1
        client.send(WINDOW, ident, [(STREAM, 1), (BYTES, size)])
        if count % 512 == 0:
            peak = max(peak, agent.rss_kib())
    assert total == 1 << 30
    assert peak < 4096, "the agent used %d KiB" % peak


def test_a_reader_that_never_reads_does_not_hold_up_others(agent):
    stuck, lively = agent.connect(), agent.connect()
    for _ in range(20):
        stuck.start(["sh", "-c", "yes"], window=1 << 30)
    for _ in range(20):
        assert lively.run(["echo", "quick"]).stdout == b"quick\n"
    assert SANITIZED or agent.rss_kib() < 4096
