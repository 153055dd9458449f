"""Starving: what one sandbox uses up is its own, a sibling works on, the operator can see it."""

import concurrent.futures
import os
import time

import pytest

import host


@pytest.fixture
def pair(field):
    yield from field.pair(memory_limit_mib=96)


def well(rest, sandbox):
    began = time.monotonic()
    assert rest.eval(sandbox, "6 * 7")["result"] == "42"
    assert rest.exec(sandbox, "echo", "hi")["stdout"] == "hi\n"
    assert time.monotonic() - began < 20


def python(rest, sandbox, code, **more):
    more.setdefault("timeout_secs", 60)
    return rest.exec(sandbox, "/usr/bin/python3", "-c", code, warm=False, **more)


FILL = """
import os
path, step = %r, b"x" * (1 << 20)
try:
    with open(path, "wb") as f:
        while True:
            f.write(step); f.flush()
except OSError as e:
    print("stopped", e.errno, os.path.getsize(path) >> 20)
"""


BOMBS = [
    ("fork", "import os, time\nn = 0\ntry:\n  while True:\n    if os.fork() == 0: time.sleep(9)\n"
             "    n += 1\nexcept OSError as e: print('stopped', e.errno, n)"),
    ("thread", "import threading, time\nn = 0\ntry:\n  while True:\n"
               "    threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); n += 1\n"
               "except RuntimeError as e: print('stopped', e, n, flush=True)\n"
               "import os; os._exit(0)"),
    ("zombie", "import os\nn = 0\ntry:\n  while True:\n    if os.fork() == 0: os._exit(0)\n"
               "    n += 1\nexcept OSError as e: print('stopped', e.errno, n)"),
    ("descriptor", "import os\nn = 0\ntry:\n  while True: os.dup(0); n += 1\n"
                   "except OSError as e: print('stopped', e.errno, n)"),
    ("inode", "import os\nos.mkdir('/root/i'); n = 0\ntry:\n  while True:\n"
              "    os.mknod('/root/i/%d' % n); n += 1\n"
              "except OSError as e: print('stopped', e.errno, n)"),
    ("pipe", "import os\nn = 0\ntry:\n  while True:\n    r, w = os.pipe(); n += 1\n"
             "    os.set_blocking(w, False)\n    try: os.write(w, bytes(1 << 16))\n"
             "    except BlockingIOError: pass\n"
             "except OSError as e: print('stopped', e.errno, n)"),
]


@pytest.mark.parametrize("kind, code", BOMBS, ids=[kind for kind, _ in BOMBS])
def test_a_bomb_of(rest, pair, kind, code):
    bomb, other = pair
    reply = python(rest, bomb, code)
    ran_out_of_memory = reply["exit_code"] == -9
    assert reply["stdout"].startswith("stopped") or ran_out_of_memory, (kind, reply)
    well(rest, other)


@pytest.mark.parametrize("path", ["/root/big", "/tmp/big", "/dev/shm/big"])
def test_a_full_disk_is_its_own(rest, pair, path):
    bomb, other = pair
    reply = python(rest, bomb, FILL % path)
    # Files in memory count: whichever limit is lower says no.
    assert reply["stdout"].startswith("stopped 28") or reply["exit_code"] == -9, reply
    assert rest.exec(other, "sh", "-c", "head -c 1M /dev/zero > /tmp/ok")["exit_code"] == 0
    well(rest, other)


def test_memory_runs_out_in_one_sandbox_and_the_operator_sees_it(field, pair):
    installation, rest = field.installation, field.installation.rest
    bomb, other = pair
    reply = python(rest, bomb, "b = bytearray(300 << 20)")
    assert reply["exit_code"] == -9 and reply["out_of_memory"], reply
    assert rest.call("POST", f"/v1/sandboxes/{bomb}/eval",
                     {"code": "b = bytearray(300 << 20)"})[1].get("error")
    assert f"event=out_of_memory id={bomb}" in installation.log()
    well(rest, other)


def test_output_without_end_is_bounded(rest, pair):
    bomb, other = pair
    reply = rest.exec(bomb, "sh", "-c", "yes | head -c 200M", timeout_secs=60)
    assert reply["exit_code"] in (0, 141, -13, None) and len(reply["stdout"]) < 64 << 20
    well(rest, other)


def test_a_busy_sandbox_leaves_the_others_their_share(rest, pair):
    bomb, other = pair
    spin = "import os\nfor _ in range(8):\n  if os.fork() == 0:\n    while True: pass\nos.wait()"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        busy = pool.submit(python, rest, bomb, spin, timeout_secs=4)
        well(rest, other)
        busy.result()


def test_what_ignores_every_signal_is_destroyed(rest, pair):
    bomb, other = pair
    code = "import os, signal, time\nfor s in range(1, 65):\n" \
           "  try: signal.signal(s, signal.SIG_IGN)\n" \
           "  except (OSError, ValueError): pass\nif os.fork() == 0:\n  os.setsid()\n" \
           "  if os.fork() == 0:\n    os.setsid()\n    while True: time.sleep(60)\nprint('on')"
    assert python(rest, bomb, code, timeout_secs=5)["stdout"] in ("on\n", "on\non\n", "")
    rest.kill(bomb)
    assert rest.call("GET", f"/v1/sandboxes/{bomb}")[0] == 404
    well(rest, other)


def test_killing_everything_ends_only_its_own(rest, pair):
    bomb, other = pair
    python(rest, bomb, "import os, signal; os.kill(-1, signal.SIGKILL)")
    assert rest.exec(bomb, "echo", "alive")["stdout"] == "alive\n"
    well(rest, other)


def test_nothing_persists_after_the_end(field, pair):
    installation, rest = field.installation, field.installation.rest
    before = set(host.children_of(installation.process.pid))
    sandbox, other = pair
    code = "import os, time\n" \
           "for d in ('/etc', '/root', '/tmp', '/var/tmp', '/dev/shm', '/run'):\n" \
           "  open(d + '/persist', 'w').write('x')\n" \
           "if os.fork() == 0:\n  os.setsid(); time.sleep(600)"
    python(rest, sandbox, code, timeout_secs=5)
    rest.kill(sandbox)
    for directory in ("/etc", "/root", "/tmp", "/var/tmp", "/dev/shm", "/run"):
        assert not os.path.exists(directory + "/persist"), directory
    look = "import os; print([d for d in ('/etc', '/root', '/tmp', '/run') " \
           "if os.path.exists(d + '/persist')])"
    assert python(rest, other, look)["stdout"] == "[]\n"
    assert not set(host.children_of(installation.process.pid)) - before
