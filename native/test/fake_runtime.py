"""A stand-in for the runtime. Becomes the agent given as arguments, after forking the runtime that
serves the other end of a socket pair: so the runtime is a child of PID 1, as in a virtual machine.

usage: fake_runtime.py BEHAVIOUR AGENT [ARGUMENT...]

BEHAVIOUR is a JSON object: `late` (path: not ready before it exists), `instead` (hex: what is sent
after READY), `refuse` (message: RT_ERROR instead of READY, then the end), `mute` (takes nothing).
"""
from __future__ import annotations

import array
import json
import os
import signal
import socket
import sys
import time
from typing import Dict, List, Tuple

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import frames as fp  # noqa: E402


def send_fds(sock: socket.socket, data: bytes, fds: List[int]) -> None:
    control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
    sent = sock.sendmsg([data], control)
    sock.sendall(data[sent:])


def session(sock: socket.socket) -> None:
    """Evaluates with state. `exit`, `crash`, `hang`, `deaf`, `close`, `garbage` misbehave.

    An interrupt waits until there is an evaluation that it can end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    signal.signal(signal.SIGURG, lambda number, frame: None)
    state: Dict[str, object] = {}
    buffer = bytearray()
    while True:
        frame = fp.take_frame(buffer)
        if frame is None:
            data = sock.recv(65536)
            if not data:
                os._exit(0)
            buffer += data
            continue
        if frame.type == fp.CALM:
            signal.sigtimedwait([signal.SIGINT], 0)
            continue
        fields = misbehave(sock, frame) or evaluate(frame, state)
        sock.sendall(fp.encode(fp.EVALUATED, frame.id, fields))


def misbehave(sock: socket.socket, frame: fp.Frame):
    code = frame.text(fp.CODE)
    if code == "exit":
        os._exit(3)
    if code == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if code == "deaf":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        time.sleep(100)
    if code == "garbage":
        sock.sendall(b"\xff" * 100)
        time.sleep(100)
    if code == "close":
        sock.close()
        os.closerange(3, 100)
        time.sleep(100)
    if code == "wrong id":
        sock.sendall(fp.encode(fp.EVALUATED, frame.id + 1, []))
        time.sleep(100)
    if code == "leave":  # a child keeps the socket while the session is gone
        if os.fork() == 0:
            time.sleep(5)
        os._exit(4)
    if code == "huge":
        return [(fp.RESULT_TEXT, "x" * (1048576 - 20))]
    return None


def evaluate(frame: fp.Frame, state: Dict[str, object]):
    code = frame.text(fp.CODE)
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        if code == "hang":
            time.sleep(100)
        if "=" in code:
            exec(code, state)
            return [(fp.STDOUT, "")]
        return [(fp.RESULT_TEXT, repr(eval(code, state))), (fp.TRUNCATED, 0)]
    except KeyboardInterrupt:
        return [(fp.ERROR_TEXT, "KeyboardInterrupt")]
    except Exception as e:
        return [(fp.ERROR_TEXT, "%s: %s" % (type(e).__name__, e)), (fp.TRACEBACK, "tb")]
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])


class Runtime:
    def __init__(self, sock: socket.socket, behaviour: dict) -> None:
        self.sock, self.behaviour = sock, behaviour
        self.buffer = bytearray()
        self.fds: List[int] = []
        self.children: Dict[int, int] = {}

    def send(self, kind: int, ident: int, fields=()) -> None:
        self.sock.sendall(fp.encode(kind, ident, fields))

    def serve(self) -> None:
        self.get_ready()
        self.sock.settimeout(0.02)
        while True:
            self.reap()
            try:
                data, fds, _, _ = socket.recv_fds(self.sock, 65536, 64)
            except socket.timeout:
                continue
            if not data:
                os._exit(0)
            self.buffer += data
            self.fds += fds
            for frame in iter(lambda: fp.take_frame(self.buffer), None):
                self.handle(frame)

    def get_ready(self) -> None:
        while "late" in self.behaviour and not os.path.exists(self.behaviour["late"]):
            time.sleep(0.01)
        if "refuse" in self.behaviour:
            self.send(fp.RT_ERROR, 0, [(fp.KIND, "runtime"),
                                       (fp.MESSAGE, self.behaviour["refuse"])])
            os._exit(70)
        self.send(fp.READY, 0, [(fp.PID, os.getpid()), (fp.REPORT, "{}")])
        if "instead" in self.behaviour:
            self.sock.sendall(bytes.fromhex(self.behaviour["instead"]))
        while self.behaviour.get("mute"):
            time.sleep(1)

    def handle(self, frame: fp.Frame) -> None:
        if frame.type == fp.RT_PING:
            report = json.dumps({"pid": os.getpid(), "python": sys.version.split()[0]})
            self.send(fp.RT_PONG, frame.id, [(fp.PID, os.getpid()), (fp.REPORT, report)])
        elif frame.type == fp.SPAWN:
            self.spawn(frame)
        elif frame.type == fp.SESSION:
            self.open_session(frame)

    def spawn(self, frame: fp.Frame) -> None:
        fds, self.fds = self.fds[:3], self.fds[3:]
        code = frame.text(fp.CODE)
        if code is None:
            kind_of_target = "%s %s" % (frame.text(fp.KIND), frame.text(fp.TARGET))
            self.send(fp.RT_ERROR, frame.id, [(fp.KIND, "not_found"), (fp.MESSAGE, kind_of_target)])
        elif code == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif code == "stall":  # never answered
            return
        else:
            self.fork_code(frame, code, fds)
        for fd in fds:
            os.close(fd)

    def fork_code(self, frame: fp.Frame, code: str, fds: List[int]) -> None:
        pid = os.fork()
        if pid == 0:
            os.setsid()
            for target, fd in enumerate(fds):
                os.dup2(fd, target)
            os.closerange(3, 100)
            os.environ.clear()
            os.environ.update(entry.decode().split("=", 1) for entry in frame.all(fp.ENV))
            os.chdir(frame.text(fp.CWD) or "/")
            sys.argv = ["-c"] + [arg.decode() for arg in frame.all(fp.ARGV)]
            try:
                exec(code, {"__name__": "__main__"})
            except SystemExit as e:
                sys.stdout.flush()
                os._exit(e.code or 0)
            sys.stdout.flush()
            os._exit(0)
        self.children[pid] = frame.id
        self.send(fp.SPAWNED, frame.id, [(fp.PID, pid)])

    def open_session(self, frame: fp.Frame) -> None:
        if "no_session" in self.behaviour:
            self.send(fp.RT_ERROR, frame.id, [(fp.KIND, "runtime"), (fp.MESSAGE, "no session")])
            return
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            self.sock.close()
            ours.close()
            session(theirs)
        self.children[pid] = frame.id
        theirs.close()
        send_fds(self.sock, fp.encode(fp.SESSION_OPEN, frame.id, [(fp.PID, pid), (fp.FDS, 1)]),
                 [ours.fileno()])
        ours.close()

    def reap(self) -> None:
        while self.children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            how = ((fp.SIGNAL_NUMBER, os.WTERMSIG(status)) if os.WIFSIGNALED(status)
                   else (fp.EXIT_CODE, os.WEXITSTATUS(status)))
            ident = self.children.pop(pid, None)
            if ident is not None:
                self.send(fp.ENDED, ident, [how])


def main(behaviour: str, command: List[str]) -> None:
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        os.setsid()
        Runtime(theirs, json.loads(behaviour)).serve()
    theirs.close()
    os.set_inheritable(ours.fileno(), True)
    os.execv(command[0], command + ["--runtime-fd", str(ours.fileno())])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
