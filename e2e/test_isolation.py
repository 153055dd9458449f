"""One child misbehaves: its siblings and the parent do not notice, its end is told as it was."""

import concurrent.futures


def pair(rest, tag="tiny", **more):
    first, second = (s["id"] for s in rest.fork(tag, 2, **more))
    return first, second


def still_well(rest, sandbox):
    assert rest.ok("POST", f"/v1/sandboxes/{sandbox}/ping", {})["pong"] is True
    assert rest.eval(sandbox, "1 + 1")["result"] == "2"
    assert rest.exec(sandbox, "true")["exit_code"] == 0


def test_files_written_by_one_are_not_seen_by_another(rest):
    one, other = pair(rest)
    places = "/ /etc /workdir /tmp /var/tmp /root /dev/shm"
    write = f"for d in {places}; do echo x > $d/mark || exit 9; done"
    assert rest.exec(one, "sh", "-c", write)["exit_code"] == 0
    look = f"for d in {places}; do ls -d $d/mark; done 2>/dev/null"
    found = rest.exec(other, "sh", "-c", look)
    assert found["stdout"] == ""
    later = rest.fork("tiny", 1)[0]["id"]
    assert rest.exec(later, "sh", "-c", "ls -A /workdir; ls -A /tmp")["stdout"] == ""


def test_every_child_can_bind_port_8000(rest):
    ids = [s["id"] for s in rest.fork("tiny", 4)]
    code = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 8000)); s.listen()"
    for sandbox in ids:
        reply = rest.eval(sandbox, code)
        assert reply["error"] is None, reply
    for sandbox in ids:
        still_well(rest, sandbox)


def test_tmp_can_be_filled_without_harm(rest):
    one, other = pair(rest)
    full = rest.exec(one, "sh", "-c", "head -c 2G /dev/zero > /tmp/fill", timeout_secs=120)
    assert full["exit_code"] != 0 and "No space left" in full["stderr"]
    assert rest.exec(other, "sh", "-c", "head -c 1M /dev/zero > /tmp/ok")["exit_code"] == 0
    still_well(rest, one)
    still_well(rest, other)


def test_hostname_belongs_to_the_child(rest):
    one, other = pair(rest)
    assert rest.exec(one, "hostname")["stdout"].strip() == one
    assert rest.exec(other, "hostname")["stdout"].strip() == other


def test_killing_pid_2_ends_the_runtime_of_that_child_only(rest):
    one, other = pair(rest)
    rest.eval(one, "x = 1")
    rest.exec(one, "sh", "-c", "kill -9 2")
    status, reply = rest.call("POST", f"/v1/sandboxes/{one}/eval", {"code": "x"})
    assert status == 500 and "SIGKILL" in reply["error"], reply
    assert rest.exec(one, "echo", "agent lives")["stdout"] == "agent lives\n"
    assert rest.ok("GET", f"/v1/sandboxes/{one}")["runtime"] == "ended"
    still_well(rest, other)


def test_a_fork_bomb_meets_the_limit(rest):
    one, other = pair(rest)
    bomb = "import os, time\n" \
           "n = 0\n" \
           "try:\n" \
           "    while True:\n" \
           "        if os.fork() == 0:\n" \
           "            time.sleep(60); os._exit(0)\n" \
           "        n += 1\n" \
           "except BlockingIOError:\n" \
           "    print(n)\n"
    reply = rest.exec(one, "/usr/bin/python3", "-c", bomb, warm=False, timeout_secs=30)
    assert 40 < int(reply["stdout"]) < 64, reply
    still_well(rest, other)


def test_out_of_memory_is_told_as_such(rest):
    one, other = pair(rest, memory_limit_mib=64)
    status, reply = rest.call("POST", f"/v1/sandboxes/{one}/eval",
                              {"code": "b = bytearray(256 << 20)"})
    told = str(reply)
    assert "memory" in told.lower(), reply
    killed = rest.exec(one, "/usr/bin/python3", "-c", "b = bytearray(256 << 20)", warm=False)
    assert killed["exit_code"] == -9 and killed["stdout"] == "", killed
    still_well(rest, other)


def test_a_signal_and_an_exit_code_are_reported_as_they_were(rest):
    one, _ = pair(rest)
    assert rest.exec(one, "sh", "-c", "exit 37")["exit_code"] == 37
    assert rest.exec(one, "sh", "-c", "kill -SEGV $$")["exit_code"] == -11


def test_twins_differ_where_they_must(rest):
    one, other = pair(rest, "heavy")
    differing = {
        "random": "__import__('random').random()",
        "numpy": "__import__('numpy').random.rand()",
        "numpy_generator": "__import__('numpy').random.default_rng().random()",
        "uuid1": "__import__('uuid').uuid1().hex[:8] + hex(__import__('uuid').getnode())",
        "uuid4": "__import__('uuid').uuid4().hex",
        "secrets": "__import__('secrets').token_hex()",
        "tempfile": "__import__('tempfile').mktemp()",
        "machine_id": "open('/etc/machine-id').read()",
        "urandom": "__import__('os').urandom(8)",
        "hostname": "__import__('socket').gethostname()",
    }
    for name, code in differing.items():
        values = [rest.eval(s, code) for s in (one, other)]
        assert all(v["error"] is None for v in values), values
        assert values[0]["result"] != values[1]["result"], name


def test_a_seed_set_by_the_user_is_reproducible(rest):
    one, other = pair(rest, "heavy")
    code = "random.seed(7); numpy.random.seed(7); (random.random(), numpy.random.rand())"
    assert rest.eval(one, code)["result"] == rest.eval(other, code)["result"]


def test_the_parent_never_changes(rest):
    one = rest.fork("heavy", 1)[0]["id"]
    assert rest.eval(one, "import numpy; numpy.marker = 5; numpy.marker")["result"] == "5"
    later = rest.fork("heavy", 1)[0]["id"]
    assert rest.eval(later, "hasattr(__import__('numpy'), 'marker')")["result"] == "False"


def test_a_busy_eval_blocks_nothing_else(rest):
    one = rest.fork("tiny", 1)[0]["id"]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        endless = "import time; t = time.time()\nwhile time.time() < t + 3: pass"
        busy = pool.submit(rest.eval, one, endless)
        assert rest.exec(one, "echo", "hi")["stdout"] == "hi\n"
        called = rest.ok("POST", f"/v1/sandboxes/{one}/call", {"code": "print('warm')"})
        assert called["stdout"] == "warm\n"
        assert rest.ok("POST", f"/v1/sandboxes/{one}/ping")["pong"] is True
        assert not busy.done()
        assert busy.result()["error"] is None
