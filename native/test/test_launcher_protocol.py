"""Requests that must be refused, and zygotes that misbehave."""
from __future__ import annotations

import struct
import time
from pathlib import Path
from typing import Any, List

import frames
import pytest
from frames import AgentError, encode
from launcher import (CHILD, FAKE, HIDDEN, HOSTNAME, INSTANCE, L_FORK, L_HELLO, L_LIMIT, L_TEMPLATE,
                      MACHINE_ID, RUN_DIR, TEMPLATE, TEMPLATE_ENDED, Launcher, Traces, nested,
                      write_fake_zygote)
from launcher import launcher  # noqa: F401 (fixture)


def fails(launcher: Launcher, kind: int, fields: Any, expected: str, match: str = "") -> None:
    with pytest.raises(AgentError, match=match) as caught:
        launcher.expect(launcher.open(kind, fields), frames.DONE)
    assert caught.value.kind == expected


@pytest.mark.parametrize("fields, kind", [
    ([(frames.VERSION, 2)], "unsupported"),
    ([(frames.VERSION, 1)], "invalid"),
    ([(frames.VERSION, 1), (RUN_DIR, "relative"), (INSTANCE, "x")], "invalid"),
    ([(frames.VERSION, 1), (RUN_DIR, "/nonexistent-forkd"), (INSTANCE, "x")], "not_found"),
    ([(frames.VERSION, 1), (RUN_DIR, "/tmp"), (INSTANCE, "x")], "denied"),
    ([(frames.VERSION, 1), (RUN_DIR, "/tmp"), (INSTANCE, "../x")], "invalid"),
])
def test_hello_is_checked(fields: Any, kind: str) -> None:
    started = Launcher()
    fails(started, L_HELLO, fields, kind)
    assert started.close() == 0
    started.remove_run_dir()


@pytest.mark.parametrize("raw", [
    struct.pack(">IBI", 1 << 30, L_FORK, 1), struct.pack(">IBI", 4, L_FORK, 1)[:8],
    struct.pack(">IBI", 10, L_FORK, 1) + b"\x4e\x00\x00\xff\xff", encode(0x7E, 1),
])
def test_a_broken_stream_ends_the_launcher_cleanly(launcher: Launcher, raw: bytes) -> None:
    launcher.template()
    launcher.fork(["a"])
    traces = Traces(launcher)
    launcher.send_raw(raw)
    assert launcher.process.wait(10) == 0
    traces.assert_none()


def test_nothing_is_served_before_hello() -> None:
    started = Launcher()
    started.send_raw(encode(L_FORK, 1))
    assert started.process.wait(10) == 0
    started.close()
    started.remove_run_dir()


@pytest.mark.parametrize("name", ["", "a/b", "..", "a" * 65, "a b", "é", "a.b"])
def test_names_are_checked(launcher: Launcher, name: str) -> None:
    fails(launcher, L_TEMPLATE, [(frames.NAME, name)], "invalid", "1 to 64")
    child = nested([(frames.NAME, name), (HOSTNAME, "h"), (MACHINE_ID, "0" * 32)])
    fails(launcher, L_FORK, [(TEMPLATE, "base"), (CHILD, child)], "invalid", "1 to 64")


@pytest.mark.parametrize("child", [
    [(frames.NAME, "a")],
    [(frames.NAME, "a"), (HOSTNAME, "-bad"), (MACHINE_ID, "0" * 32)],
    [(frames.NAME, "a"), (HOSTNAME, "x" * 64), (MACHINE_ID, "0" * 32)],
    [(frames.NAME, "a"), (HOSTNAME, "a\nb"), (MACHINE_ID, "0" * 32)],
    [(frames.NAME, "a"), (HOSTNAME, "a"), (MACHINE_ID, "0" * 31)],
    [(frames.NAME, "a"), (HOSTNAME, "a"), (MACHINE_ID, "z" * 32)],
])
def test_children_are_checked(launcher: Launcher, child: Any) -> None:
    fails(launcher, L_FORK, [(TEMPLATE, "base"), (CHILD, nested(child))], "invalid")


def test_a_nested_field_that_runs_over_its_end(launcher: Launcher) -> None:
    child = b"\x24\x00\x00\x00\x09abc"
    fails(launcher, L_FORK, [(TEMPLATE, "b"), (CHILD, child)], "invalid", "end")


@pytest.mark.parametrize("options, kind, match", [
    ({"hidden": ["root"]}, "invalid", "absolute"),
    ({"hidden": ["/a/../b"]}, "invalid", "normal path"),
    ({"hidden": ["/"]}, "invalid", "cannot be /"),
    ({"writable": ["/a//b"]}, "invalid", "normal path"),
    ({"writable": ["/etc/passwd"]}, "invalid", "not a directory"),
    ({"writable": ["/lib/x"]}, "invalid", "not a directory"),
    ({"uid_base": 1000}, "invalid", "outside"),
    ({"argv": ["/nonexistent/python"]}, "not_found", "/nonexistent/python"),
    ({"layers": [{"path": "/nonexistent"}]}, "not_found", "/nonexistent"),
    ({"runtime_dir": "/nonexistent"}, "not_found", "copying /nonexistent"),
    ({"cwd": "/nonexistent"}, "not_found", "chdir"),
])
def test_templates_that_cannot_be(launcher: Launcher, options: Any, kind: str, match: str) -> None:
    with pytest.raises(AgentError, match=match) as caught:
        launcher.template(**options)
    assert caught.value.kind == kind
    assert launcher.family() == []
    launcher.template()  # the name is free


def test_duplicates_and_strangers(launcher: Launcher) -> None:
    fails(launcher, L_FORK, [(TEMPLATE, "base"), (CHILD, nested(
        [(frames.NAME, "a"), (HOSTNAME, "a"), (MACHINE_ID, "0" * 32)]))], "not_found")
    launcher.template()
    with pytest.raises(AgentError, match="exists"):
        launcher.template()
    with pytest.raises(AgentError, match="twice"):
        launcher.fork(["a", "a"])
    launcher.fork(["a"])
    with pytest.raises(AgentError, match="exists"):
        launcher.fork(["b", "a"])
    fails(launcher, L_LIMIT, [(frames.NAME, "nobody")], "not_found")


def test_a_template_that_is_not_warm_cannot_be_forked(launcher: Launcher, tmp_path: Path) -> None:
    runtime = write_fake_zygote(tmp_path, "time.sleep(600)")
    launcher.open_template(argv=FAKE, runtime_dir=runtime)
    with pytest.raises(AgentError, match="not warm yet"):
        launcher.fork(["a"])


def fake(launcher: Launcher, directory: Path, body: str, **options: Any) -> int:
    runtime = write_fake_zygote(directory, body)
    return launcher.open_template(argv=FAKE, runtime_dir=runtime, **options)


def test_a_warm_up_past_its_deadline(launcher: Launcher, tmp_path: Path) -> None:
    ident = fake(launcher, tmp_path, "print('so far', flush=True); time.sleep(600)", timeout_ms=700)
    with pytest.raises(AgentError, match="(?s)deadline of 700 ms.*so far") as caught:
        launcher.expect(ident, 0xA2)
    assert caught.value.kind == "timeout" and launcher.family() == []


@pytest.mark.parametrize("body, match", [
    ("print('boom'); sys.exit(3)", "(?s)exit code 3.*boom"),
    ("os.kill(os.getpid(), 11)", "signal 11"),
    ("receive(); send(0xFF, 1, (frames.KIND, 'runtime'), (frames.MESSAGE, 'no module x'))",
     "no module x"),
    ("receive(); send(0x77, 1)", "broke the protocol"),
    ("receive(); channel.sendall(b'\\xff' * 64)", "broke the protocol"),
    ("receive(); send(0xB1, 9, (frames.PID, 4))", "broke the protocol"),
    ("print('\\xff\\0\\n' * 9000); sys.stdout.flush(); sys.exit(1)", "exit code 1"),
])
def test_zygotes_that_fail(launcher: Launcher, tmp_path: Path, body: str, match: str) -> None:
    with pytest.raises(AgentError, match=match) as caught:
        launcher.expect(fake(launcher, tmp_path, body), 0xA2)
    assert caught.value.kind == "runtime"
    assert launcher.family() == []


def test_a_zygote_that_never_enters(launcher: Launcher, tmp_path: Path) -> None:
    ident = fake(launcher, tmp_path, "warm(); time.sleep(600)")
    launcher.expect(ident, 0xA2)
    started = time.monotonic()
    outcomes = launcher.outcomes(launcher.open_fork(["a", "b"], timeout_ms=500))
    assert [outcome.text(frames.KIND) for outcome in outcomes] == ["timeout"] * 2
    assert time.monotonic() - started < 20
    assert launcher.event(TEMPLATE_ENDED).int(frames.SIGNAL_NUMBER) == 9


def test_a_zygote_that_refuses(launcher: Launcher, tmp_path: Path) -> None:
    body = """
    warm()
    while True:
        send(0xFF, receive().id, (frames.KIND, 'exhausted'), (frames.MESSAGE, 'no more'))
    """
    launcher.expect(fake(launcher, tmp_path, body), 0xA2)
    outcomes = launcher.outcomes(launcher.open_fork(["a", "b"]))
    assert [o.text(frames.KIND) for o in outcomes] == ["exhausted"] * 2
    assert outcomes[0].text(frames.MESSAGE) == "no more"
    assert len(launcher.family()) == 3


def test_a_zygote_that_dies_in_a_batch(launcher: Launcher, tmp_path: Path) -> None:
    launcher.expect(fake(launcher, tmp_path, "warm(); receive(); os.abort()"), 0xA2)
    outcomes = launcher.outcomes(launcher.open_fork(["a", "b", "c"]))
    assert [o.text(frames.KIND) for o in outcomes] == ["runtime"] * 3
    assert launcher.event(TEMPLATE_ENDED).int(frames.SIGNAL_NUMBER) == 6


def test_a_zygote_that_floods(launcher: Launcher, tmp_path: Path) -> None:
    body = "warm()\nwhile True: send(0xB2, 0, (frames.NAME, 'x' * 60000), (frames.EXIT_CODE, 1))"
    launcher.expect(fake(launcher, tmp_path, body), 0xA2)
    launcher.template("other", uid_base=900000)
    launcher.fork(["a"], template="other")
    launcher.discard()


def test_one_bad_child_does_not_fail_its_siblings(launcher: Launcher) -> None:
    launcher.template()
    (Path(launcher.run_dir) / "b.agent").mkdir()
    outcomes = launcher.outcomes(launcher.open_fork(["a", "b", "c"]))
    assert [outcome.text(frames.KIND) for outcome in outcomes] == [None, "exists", None] or \
        "b.agent" in (outcomes[1].text(frames.MESSAGE) or "")
    (Path(launcher.run_dir) / "b.agent").rmdir()
    assert launcher.connect("c").sh("hostname").stdout == b"c\n"
