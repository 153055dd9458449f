"""READ_FILE and WRITE_FILE."""
from __future__ import annotations

import errno
import os
import stat
import subprocess
import time

import pytest

from conftest import wait_for
from frames import (BYTES, CANCEL, DATA, DONE, EOF, ERRNO, ERROR, INPUT, KIND, MAKE_PARENTS, MODE,
                    OFFSET, OUTPUT, PATH, READ_FILE, STARTED, STREAM, WINDOW, WINDOW_BYTES,
                    WINDOW_STDIN, WRITE_FILE, AgentError, Client)


def read(client: Client, path, *fields):
    ident = client.open(READ_FILE, [(PATH, str(path))] + list(fields))
    data = []
    while True:
        frame = client.next(ident)
        if frame.type == ERROR:
            raise AgentError(frame)
        if frame.type == DONE:
            content = b"".join(data)
            assert frame.int(BYTES) == len(content)
            return content, frame.int(MODE)
        data.append(frame.bytes(DATA))
        client.send(WINDOW, ident, [(STREAM, 1), (BYTES, len(data[-1]))])


def begin(client: Client, path, *fields) -> int:
    ident = client.open(WRITE_FILE, [(PATH, str(path))] + list(fields))
    client.expect(ident, STARTED)
    return ident


def write(client: Client, path, data: bytes, *fields):
    ident = begin(client, path, *fields)
    credit, sent = 262144, 0
    while sent < len(data):
        chunk = data[sent:sent + min(65536, credit)]
        client.send(INPUT, ident, [(DATA, chunk)])
        sent, credit = sent + len(chunk), credit - len(chunk)
        while credit == 0:
            credit += client.expect(ident, WINDOW_STDIN).int(BYTES)
    client.send(INPUT, ident, [(EOF, 1)])
    while True:
        frame = client.next(ident)
        if frame.type == ERROR:
            raise AgentError(frame)
        if frame.type == DONE:
            return frame


def refusal(action, *arguments) -> str:
    with pytest.raises(AgentError) as caught:
        action(*arguments)
    return caught.value.kind


def test_there_and_back(client, workdir):
    data = os.urandom(5 << 20)
    done = write(client, workdir / "file", data, (MODE, 0o640))
    assert done.int(BYTES) == len(data) and done.int(MODE) == 0o640
    assert (workdir / "file").read_bytes() == data
    assert read(client, workdir / "file") == (data, 0o640)
    assert sorted(os.listdir(workdir)) == ["agent.sock", "file"]


def test_empty_file(client, workdir):
    write(client, workdir / "empty", b"")
    assert read(client, workdir / "empty") == (b"", 0o644)


@pytest.mark.parametrize("offset, limit, expected", [
    (0, 4, b"0123"), (3, 0, b"3456789"), (3, 2, b"34"), (10, 0, b""), (99, 5, b""), (8, 50, b"89")])
def test_part_of_a_file(client, workdir, offset, limit, expected):
    (workdir / "file").write_bytes(b"0123456789")
    assert read(client, workdir / "file", (OFFSET, offset), (BYTES, limit))[0] == expected


def test_file_without_a_size(client):
    assert read(client, "/proc/self/stat")[0].startswith(b"1 (")


def test_no_read_without_credit(client, workdir):
    (workdir / "file").write_bytes(bytes(300_000))
    ident = client.open(READ_FILE, [(PATH, str(workdir / "file")), (WINDOW_BYTES, 100)])
    assert len(client.expect(ident, OUTPUT).bytes(DATA)) == 100
    with pytest.raises(TimeoutError):
        client.next(ident, 0.2)
    client.send(WINDOW, ident, [(STREAM, 1), (BYTES, 1 << 20)])
    total = 100
    while True:
        frame = client.next(ident)
        if frame.type == DONE:
            break
        total += len(frame.bytes(DATA))
    assert total == 300_000


def test_read_errors(client, workdir):
    os.mkfifo(workdir / "fifo")
    assert refusal(read, client, workdir / "nothing") == "not_found"
    assert refusal(read, client, workdir) == "invalid"
    assert refusal(read, client, workdir / "fifo") == "invalid"
    assert refusal(read, client, "/dev/zero") == "invalid"
    assert refusal(read, client, workdir / "agent.sock") == "invalid"
    assert refusal(read, client, "relative") == "invalid"
    assert refusal(read, client, "/x", (OFFSET, -1)) == "invalid"
    assert client.ask(READ_FILE, []).text(KIND) == "invalid"


def test_write_errors(client, workdir):
    os.mkfifo(workdir / "fifo")
    (workdir / "file").write_text("x")
    assert refusal(write, client, workdir / "no" / "dir", b"x") == "not_found"
    assert refusal(write, client, workdir, b"x") == "invalid"
    assert refusal(write, client, str(workdir) + "/", b"x") == "invalid"
    assert refusal(write, client, str(workdir) + "/..", b"x") == "invalid"
    assert refusal(write, client, workdir / "fifo", b"x") == "invalid"
    assert refusal(write, client, workdir / "file" / "below", b"x") == "not_found"
    below = workdir / "file" / "a" / "b"
    assert refusal(write, client, below, b"x", (MAKE_PARENTS, 1)) == "not_found"
    assert refusal(write, client, "/proc/new", b"x") in ("not_found", "denied")
    assert refusal(write, client, workdir / "new", b"x", (MODE, 0o200000)) == "invalid"
    assert refusal(write, client, "relative", b"x") == "invalid"
    assert stat.S_ISFIFO(os.stat(workdir / "fifo").st_mode)
    assert sorted(os.listdir(workdir)) == ["agent.sock", "fifo", "file"]


def test_make_parents(client, workdir):
    write(client, workdir / "a" / "b" / "c", b"deep", (MAKE_PARENTS, 1))
    assert (workdir / "a" / "b" / "c").read_bytes() == b"deep"
    assert stat.S_IMODE(os.stat(workdir / "a").st_mode) == 0o755


def test_overwriting_keeps_owner_and_mode(client, workdir):
    target = workdir / "file"
    target.write_text("old")
    os.chmod(target, 0o600)
    os.chown(target, 1234, 2345)
    write(client, target, b"new")
    found = os.stat(target)
    assert target.read_bytes() == b"new"
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1234, 2345, 0o600)


def test_a_link_is_followed(client, workdir):
    (workdir / "real").write_text("old")
    os.symlink("real", workdir / "link")
    write(client, workdir / "link", b"new")
    assert os.path.islink(workdir / "link") and (workdir / "real").read_bytes() == b"new"


def test_a_dead_link_is_replaced(client, workdir):
    os.symlink("nowhere", workdir / "link")
    write(client, workdir / "link", b"new")
    assert not os.path.islink(workdir / "link") and (workdir / "link").read_bytes() == b"new"


def test_a_broken_upload_leaves_the_old_file(client, agent, workdir):
    (workdir / "file").write_text("old")
    other = agent.connect()
    ident = begin(other, workdir / "file")
    other.send(INPUT, ident, [(DATA, b"half of the ne")])
    other.expect(ident, WINDOW_STDIN)
    assert len(os.listdir(workdir)) == 3
    other.close()
    wait_for(lambda: len(os.listdir(workdir)) == 2, what="the temporary file being removed")
    assert (workdir / "file").read_text() == "old"


def test_cancelled_upload(client, workdir):
    ident = begin(client, workdir / "file")
    client.send(CANCEL, ident)
    assert client.next(ident).type == ERROR
    assert os.listdir(workdir) == ["agent.sock"]


def test_disk_full(client, agent, workdir):
    inside = workdir / "small"
    inside.mkdir()
    subprocess.run(["nsenter", "-t", str(agent.pid), "-m", "mount", "-t", "tmpfs", "-o", "size=1m",
                    "none", str(inside)], check=True)
    write(client, inside / "file", b"old")
    ident = begin(client, inside / "file")
    for _ in range(20):
        client.send(INPUT, ident, [(DATA, bytes(65536))])
    answer = client.next(ident)
    while answer.type == WINDOW_STDIN:
        answer = client.next(ident)
    assert answer.text(KIND) == "exhausted" and answer.int(ERRNO) == errno.ENOSPC
    assert read(client, inside / "file")[0] == b"old"
    assert client.run(["ls", "-A", str(inside)]).stdout == b"file\n"


@pytest.mark.measures
def test_200_mb_with_little_memory(client, agent, workdir):
    path = workdir / "big"
    with open(path, "wb") as out:
        out.truncate(200 << 20)
    started = time.monotonic()
    ident = client.open(READ_FILE, [(PATH, str(path)), (WINDOW_BYTES, 1 << 30)])
    total = 0
    time.sleep(0.3)
    assert agent.rss_kib() < 4096
    while True:
        frame = client.next(ident)
        if frame.type == DONE:
            break
        total += len(frame.bytes(DATA))
    assert total == 200 << 20 and time.monotonic() - started < 20
    assert agent.rss_kib() < 4096
