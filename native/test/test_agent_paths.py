"""STAT, LIST, MAKE_DIRECTORY, REMOVE, LINK, and commands at a terminal."""
from __future__ import annotations

import os
import struct

from frames import (ARGV, BYTES, COLUMNS, DATA, DONE, EOF, EXEC, EXIT_CODE, EXITED, INPUT,
                    KIND, LINK, LIST, MAKE_DIRECTORY, MAKE_PARENTS, MODE, NAME, OFFSET, OUTPUT,
                    PATH, REMOVE, RESIZE, ROWS, SIGNAL_NUMBER, STARTED, STAT, TARGET,
                    TRUNCATED, Client)


def entries(frame):
    """The nested fields of LIST's answer as dictionaries."""
    found = []
    for raw in frame.all(DATA):
        at, entry = 0, {}
        while at < len(raw):
            key, length = struct.unpack_from(">BI", raw, at)
            entry[key] = raw[at + 5:at + 5 + length]
            at += 5 + length
        found.append(entry)
    return found


def test_stat_tells_links_as_links(client: Client, workdir):
    os.symlink("nowhere", workdir / "link")
    (workdir / "file").write_bytes(b"12345")
    os.chmod(workdir / "file", 0o640)
    link = client.ask(STAT, [(PATH, str(workdir / "link"))])
    assert (link.text(KIND), link.text(TARGET)) == ("link", "nowhere")
    file = client.ask(STAT, [(PATH, str(workdir / "file"))])
    assert (file.text(KIND), file.int(BYTES), file.int(MODE)) == ("file", 5, 0o640)
    assert client.ask(STAT, [(PATH, str(workdir / "none"))]).text(KIND) == "not_found"
    assert client.ask(STAT, []).text(KIND) == "invalid"
    assert client.ask(STAT, [(PATH, "relative")]).text(KIND) == "invalid"


def test_list_pages(client: Client, workdir):
    (workdir / "many").mkdir()
    for n in range(3000):
        (workdir / "many" / ("%04d" % n)).touch()
    names, more = [], 1
    while more:
        page = client.ask(LIST, [(PATH, str(workdir / "many")), (OFFSET, len(names))])
        assert page.type == DONE
        names += [entry[NAME].decode() for entry in entries(page)]
        more = page.int(TRUNCATED)
    assert sorted(names) == ["%04d" % n for n in range(3000)]
    assert client.ask(LIST, [(PATH, str(workdir / "many" / "0000"))]).text(KIND) != "directory"


def test_make_link_remove(client: Client, workdir):
    deep = str(workdir / "a" / "b")
    assert client.ask(MAKE_DIRECTORY, [(PATH, deep)]).text(KIND) == "not_found"
    made = [(PATH, deep), (MAKE_PARENTS, 1), (MODE, 0o2750)]
    assert client.ask(MAKE_DIRECTORY, made).type == DONE
    assert os.stat(deep).st_mode & 0o7777 == 0o2750
    assert client.ask(MAKE_DIRECTORY, made).type == DONE
    assert client.ask(MAKE_DIRECTORY, [(PATH, deep)]).text(KIND) == "exists"
    assert client.ask(LINK, [(PATH, deep + "/l"), (TARGET, "../x")]).type == DONE
    assert os.readlink(deep + "/l") == "../x"
    assert client.ask(LINK, [(PATH, deep + "/m")]).text(KIND) == "invalid"
    assert client.ask(REMOVE, [(PATH, deep)]).type != DONE
    assert client.ask(REMOVE, [(PATH, deep + "/l")]).type == DONE
    assert client.ask(REMOVE, [(PATH, deep)]).type == DONE
    assert not os.path.exists(deep)


def collect(client: Client, ident: int, text: str, seen: str = "") -> str:
    while text not in seen:
        frame = client.next(ident)
        assert frame.type in (STARTED, OUTPUT) or frame.type == 0x88, hex(frame.type)
        if frame.type == OUTPUT:
            seen += frame.bytes(DATA).decode()
    return seen


def at_terminal(client: Client, script: str) -> int:
    return client.open(EXEC, [(ARGV, "sh"), (ARGV, "-c"), (ARGV, script), (ROWS, 30),
                              (COLUMNS, 100)])


def ended(client: Client, ident: int):
    frame = client.next(ident)
    while frame.type != EXITED:
        frame = client.next(ident)
    return frame


def test_a_terminal_has_a_size_and_a_new_one(client: Client):
    ident = at_terminal(client, "stty size; read x; stty size; echo got $x; cat")
    collect(client, ident, "30 100")
    client.send(RESIZE, ident, [(ROWS, 5), (COLUMNS, 6)])
    client.send(INPUT, ident, [(DATA, b"hello\n")])
    assert "5 6" in collect(client, ident, "got hello")
    client.send(INPUT, ident, [(EOF, 1)])
    assert ended(client, ident).int(EXIT_CODE) == 0


def test_ctrl_c_interrupts(client: Client):
    # Not a shell that is about to start something: it keeps SIGINT to itself for that moment.
    ident = at_terminal(client, "exec cat")
    client.send(INPUT, ident, [(DATA, b"ready\n")])
    collect(client, ident, "ready\r\nready")  # the terminal's echo, then cat's
    client.send(INPUT, ident, [(DATA, b"\x03")])
    assert ended(client, ident).int(SIGNAL_NUMBER) == 2
