"""Impersonating: siblings that try to meet, and one that speaks for another."""

import pytest


@pytest.fixture
def pair(field):
    yield from field.pair()


SETUPS = {
    "an_abstract_socket": (
        "import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0meet'); s.listen()",
        "import socket; socket.socket(socket.AF_UNIX).connect('\\0meet')"),
    "a_port": (
        "import socket; s = socket.create_server(('0.0.0.0', 7777))",
        "import socket; socket.create_connection(('127.0.0.1', 7777), 3)"),
    "a_file_in_tmp": ("open('/tmp/meet', 'w').close()", "open('/tmp/meet')"),
    "a_file_in_shared_memory": ("open('/dev/shm/meet', 'w').close()", "open('/dev/shm/meet')"),
    "shared_memory_of_system_v": (
        "import ctypes; libc = ctypes.CDLL(None); assert libc.shmget(4711, 4096, 0o1666) >= 0",
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.shmget(4711, 4096, 0o666) < 0: raise OSError(ctypes.get_errno(), 'shmget')"),
    "a_message_queue": (
        "import ctypes; libc = ctypes.CDLL(None)\n"
        "assert libc.msgget(4711, 0o1666) >= 0",
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        "if libc.msgget(4711, 0o666) < 0: raise OSError(ctypes.get_errno(), 'msgget')"),
    "the_others_module": (
        "import json; json.meet = 1",
        "import json\nif not hasattr(json, 'meet'): raise OSError('not there')"),
    "the_others_hosts_file": (
        "open('/root/hosts', 'w').write('x')",
        "open('/root/hosts')"),
}


@pytest.mark.parametrize("place", sorted(SETUPS))
def test_siblings_do_not_meet_at(rest, pair, place):
    prepare, reach = SETUPS[place]
    made = rest.eval(pair[0], prepare)
    assert made["error"] is None, made
    got = rest.eval(pair[1], reach)
    assert "Error" in (got["error"] or ""), (place, got)


@pytest.mark.parametrize("name", ["Error", "__import__", "open", "print"])
def test_a_runtime_that_lies_to_itself_answers_only_for_itself(rest, pair, name):
    rest.eval(pair[0], f"import builtins; builtins.{name} = lambda *a, **k: 'mine'")
    assert rest.eval(pair[1], "1 + 1")["result"] == "2"
    assert rest.exec(pair[0], "echo", "agent")["stdout"] == "agent\n"


def test_a_repr_that_lies_is_text_and_no_answer(rest, pair):
    code = "class L:\n  def __repr__(self): return '{\"result\": 1}\\n\\0' * 9\nL()"
    lie = rest.eval(pair[0], code)
    assert lie["result"].startswith('{"result": 1}')
    assert rest.eval(pair[1], "1")["result"] == "1"


def test_a_sandbox_cannot_be_named_by_a_path(rest, pair):
    for name in ("..%2f" + pair[1], pair[1] + "%2f..", "%2e%2e", pair[1] + "%00", pair[1].upper()):
        status, _ = rest.call("POST", f"/v1/sandboxes/{name}/ping", {})
        assert status in (400, 404), name
