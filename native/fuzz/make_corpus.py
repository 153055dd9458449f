"""Writes the seed inputs of both fuzz targets into corpus/. Run again when the protocol grows."""
from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import List, Tuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "test"))
import frames as fp  # noqa: E402

HOST, OTHER, RUNTIME, SESSION, END = range(5)
Script = List[Tuple[int, bytes]]


def e(kind: int, ident: int = 1, *fields) -> bytes:
    return fp.encode(kind, ident, fields)


HELLO = (HOST, e(fp.HELLO, 1, (fp.VERSION, 1)))
READY = (RUNTIME, e(fp.READY, 0, (fp.PID, 6), (fp.REPORT, "{}")))
OPEN = (RUNTIME, e(fp.SESSION_OPEN, 2, (fp.PID, 7), (fp.FDS, 1)))
EVAL = (HOST, e(fp.EVAL, 3, (fp.CODE, "1"), (fp.TIMEOUT_MS, 1), (fp.GRACE_MS, 0)))
EXEC = (HOST, e(fp.EXEC, 2, (fp.ARGV, "true"), (fp.ENV, "PATH=/bin"), (fp.STDIN, 1),
                (fp.WINDOW_BYTES, 10), (fp.CWD, "/"), (fp.USER, "1:2")))
CALL = (HOST, e(fp.CALL, 2, (fp.KIND, "code"), (fp.CODE, "1"), (fp.ARGV, "a")))

SCRIPTS = {
    "ping": [HELLO, (HOST, e(fp.PING, 2)), (HOST, e(fp.PING_RUNTIME, 3))],
    "version": [(HOST, e(fp.HELLO, 1, (fp.VERSION, 2)))],
    "exec": [HELLO, EXEC, (HOST, e(fp.INPUT, 2, (fp.DATA, "abc"))),
             (HOST, e(fp.WINDOW, 2, (fp.STREAM, 1), (fp.BYTES, 500))),
             (HOST, e(fp.INPUT, 2, (fp.EOF, 1))), (HOST, e(fp.SIGNAL, 2, (fp.SIGNAL_NUMBER, 15))),
             (HOST, e(fp.CANCEL, 2)), (END, b"\0")],
    "exec_refused": [HELLO, (HOST, e(fp.EXEC, 2, (fp.ARGV, "falsy"))),
                     (HOST, e(fp.EXEC, 3, (fp.ARGV, "falsey")))],
    "read": [HELLO, (HOST, e(fp.WRITE_FILE, 2, (fp.PATH, "/a/b"), (fp.MAKE_PARENTS, 1),
                             (fp.MODE, 0o600))),
             (HOST, e(fp.INPUT, 2, (fp.DATA, "x" * 300))), (HOST, e(fp.INPUT, 2, (fp.EOF, 1))),
             (HOST, e(fp.READ_FILE, 3, (fp.PATH, "/a/b"), (fp.OFFSET, 1), (fp.BYTES, 200),
                      (fp.WINDOW_BYTES, 50))),
             (HOST, e(fp.WINDOW, 3, (fp.STREAM, 1), (fp.BYTES, 500))),
             (HOST, e(fp.READ_FILE, 4, (fp.PATH, "/a")))],
    "paths": [HELLO, (HOST, e(fp.MAKE_DIRECTORY, 2, (fp.PATH, "/a/b"), (fp.MAKE_PARENTS, 1))),
              (HOST, e(fp.LINK, 3, (fp.PATH, "/a/l"), (fp.TARGET, "b"))),
              (HOST, e(fp.STAT, 4, (fp.PATH, "/a/l"))), (HOST, e(fp.LIST, 5, (fp.PATH, "/a"))),
              (HOST, e(fp.LIST, 6, (fp.PATH, "/a"), (fp.OFFSET, 1))),
              (HOST, e(fp.REMOVE, 7, (fp.PATH, "/a/l"))), (HOST, e(fp.REMOVE, 8, (fp.PATH, "/a")))],
    "terminal": [HELLO, (HOST, e(fp.EXEC, 2, (fp.ARGV, "true"), (fp.ROWS, 5), (fp.COLUMNS, 6))),
                 (HOST, e(fp.INPUT, 2, (fp.DATA, "abc"))),
                 (HOST, e(fp.RESIZE, 2, (fp.ROWS, 7), (fp.COLUMNS, 8))),
                 (HOST, e(fp.RESIZE, 9, (fp.ROWS, 7))), (HOST, e(fp.INPUT, 2, (fp.EOF, 1))),
                 (HOST, e(fp.CANCEL, 2)), (END, b"\0")],
    "ping_runtime": [HELLO, (HOST, e(fp.PING_RUNTIME, 2)), READY,
                     (RUNTIME, e(fp.RT_PONG, 1, (fp.PID, 6), (fp.REPORT, "{}")))],
    "call": [HELLO, READY, CALL, (RUNTIME, e(fp.SPAWNED, 1, (fp.PID, 1001))),
             (RUNTIME, e(fp.ENDED, 1, (fp.EXIT_CODE, 3)))],
    "call_refused": [HELLO, READY, CALL,
                     (RUNTIME, e(fp.RT_ERROR, 1, (fp.KIND, "denied"), (fp.MESSAGE, "no")))],
    "call_cancelled": [HELLO, READY, CALL, (HOST, e(fp.CANCEL, 2)),
                       (RUNTIME, e(fp.SPAWNED, 1, (fp.PID, 1001))), (END, b"\1")],
    "runtime_garbage": [HELLO, READY, CALL, EVAL, (RUNTIME, b"\xff" * 20)],
    "runtime_refuses": [HELLO, (RUNTIME, e(fp.RT_ERROR, 0, (fp.MESSAGE, "setns")))],
    "eval": [HELLO, READY, EVAL, OPEN,
             (SESSION, e(fp.EVALUATED, 1, (fp.RESULT_TEXT, "1"), (fp.TRUNCATED, 0)))],
    "eval_death": [HELLO, READY, EVAL, OPEN, (RUNTIME, e(fp.ENDED, 2, (fp.SIGNAL_NUMBER, 11))),
                   EVAL],
    "eval_garbage": [HELLO, READY, EVAL, OPEN, (SESSION, b"\xff" * 20),
                     (RUNTIME, e(fp.ENDED, 2, (fp.EXIT_CODE, 1)))],
    "eval_cancel": [HELLO, READY, EVAL, (HOST, e(fp.EVAL, 4, (fp.CODE, "2"))),
                    (HOST, e(fp.CANCEL, 4)), OPEN, (HOST, e(fp.CANCEL, 3)),
                    (SESSION, e(fp.EVALUATED, 1, (fp.ERROR_TEXT, "KeyboardInterrupt")))],
    "two_hosts": [HELLO, (OTHER, HELLO[1]), EXEC, (OTHER, EXEC[1]), (OTHER, b"\0\0\0\0")],
}


def main() -> None:
    for name, script in SCRIPTS.items():
        packed = b"".join(struct.pack("<BH", who, len(data)) + data for who, data in script)
        (HERE / "corpus" / "agent" / name).write_bytes(packed)
        (HERE / "corpus" / "frame" / name).write_bytes(b"".join(data for _, data in script))


if __name__ == "__main__":
    main()
