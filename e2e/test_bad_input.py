"""Bad input: a clear error, the right status and exit code, and nothing lost or left."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest


FORKD = Path(__file__).resolve().parent.parent / "forkd"


def counts(rest):
    tags = [s["tag"] for s in rest.ok("GET", "/v1/snapshots")]
    return len(rest.ok("GET", "/v1/sandboxes")), tags


@pytest.mark.parametrize("body, status, words", [
    ({"snapshot_tag": "nothing"}, 404, "snapshot nothing not found"),
    ({"snapshot_tag": "../etc"}, 400, "snapshot_tag must be"),
    ({"snapshot_tag": "tiny", "n": 0}, 400, "n must be"),
    ({"snapshot_tag": "tiny", "n": 1001}, 400, "n must be"),
    ({"snapshot_tag": "tiny", "n": "many"}, 400, "n"),
    ({"n": 1}, 400, "snapshot_tag"),
])
def test_a_wrong_fork_is_refused(rest, body, status, words):
    before = counts(rest)
    got, reply = rest.call("POST", "/v1/sandboxes", body)
    assert (got, words in reply["error"]) == (status, True), reply
    assert counts(rest) == before


@pytest.mark.parametrize("text, words", [
    ("name: x\nimprts: [a]\n", "imprts"),
    ("name: x\nimage: host\nruntime: python\nwarm: {imprts: [a]}\n", "did you mean"),
    ("name: [\n", "recipe"),
    ("name: ../x\nimage: host\n", "name"),
])
def test_a_wrong_recipe_is_refused(rest, text, words):
    before = counts(rest)
    status, reply = rest.call("POST", "/v1/snapshots", {"recipe": text, "recipe_dir": "/"})
    assert status == 400 and words in reply["error"], reply
    assert counts(rest) == before


RUNTIME = "image: host\nruntime: {language: python, interpreter: /usr/bin/python3}\n"


def test_a_failing_import_shows_its_traceback(rest):
    before = counts(rest)
    text = RUNTIME + "name: bad\nwarm: {imports: [json, numpyy]}\n"
    status, reply = rest.call("POST", "/v1/snapshots", {"recipe": text, "recipe_dir": "/"})
    assert status >= 400 and "numpyy" in reply["error"], reply
    assert "ModuleNotFoundError" in reply["detail"], reply
    assert counts(rest) == before


def test_an_endless_warm_up_meets_its_deadline(rest):
    before = counts(rest)
    text = RUNTIME + "name: endless\nwarm: {script: 'while True: pass', deadline: 2s}\n"
    began = time.monotonic()
    status, reply = rest.call("POST", "/v1/snapshots", {"recipe": text, "recipe_dir": "/"})
    assert status == 504 and "deadline" in reply["error"], reply
    assert time.monotonic() - began < 20
    assert counts(rest) == before


def test_a_thread_left_by_the_warm_up_is_refused_by_name(rest):
    text = RUNTIME + "name: threads\nwarm:\n  script: |\n" \
        "    import threading, time\n" \
        "    threading.Thread(target=time.sleep, args=(60,), name='ticker').start()\n"
    status, reply = rest.call("POST", "/v1/snapshots", {"recipe": text, "recipe_dir": "/"})
    assert status >= 400 and "ticker" in reply["error"] + reply.get("detail", ""), reply


def test_a_command_that_is_not_there(rest):
    one = rest.fork("tiny")[0]["id"]
    reply = rest.exec(one, "no-such-command")
    assert reply["exit_code"] == 127 and "no-such-command" in reply["error"], reply
    assert rest.call("POST", f"/v1/sandboxes/{one}/exec", {"args": []})[0] == 400


def test_a_gibibyte_of_output_is_bounded(rest):
    one = rest.fork("tiny")[0]["id"]
    reply = rest.exec(one, "sh", "-c", "head -c 1G /dev/zero", timeout_secs=120)
    assert reply["exit_code"] == 0 and reply["truncated"] is True
    assert len(reply["stdout"]) < 16 << 20


def test_a_gibibyte_can_be_streamed_through_the_command(installation, rest):
    one = rest.fork("tiny")[0]["id"]
    pipe = f"'{FORKD}' exec {one} -- head -c 1G /dev/zero | wc -c"
    done = subprocess.run(["sh", "-c", pipe], env=installation.environment, capture_output=True,
                          timeout=300)
    assert done.stdout.split() == [b"1073741824"], done


def test_binary_output_arrives_whole(installation, rest):
    one = rest.fork("tiny")[0]["id"]
    code = r"import sys; sys.stdout.buffer.write(bytes(range(256)) * 4)"
    done = installation.command("exec", one, "--", "/usr/bin/python3", "-c", code)
    assert done.stdout == bytes(range(256)) * 4
    assert rest.exec(one, "/usr/bin/python3", "-c", code)["exit_code"] == 0


def test_an_exec_past_its_timeout_takes_its_group_along(rest):
    one = rest.fork("tiny")[0]["id"]
    reply = rest.exec(one, "sh", "-c", "sleep 600 & sleep 600", timeout_secs=1)
    assert reply["timed_out"] is True and "timed out" in reply["error"], reply
    assert rest.exec(one, "sh", "-c", "grep -l '^Name:.sleep' /proc/[0-9]*/status")["stdout"] == ""


def test_an_agent_that_is_killed_in_mid_request(rest):
    one = rest.fork("tiny")[0]
    events = rest.events(f"/v1/sandboxes/{one['id']}/exec",
                         {"args": ["sleep", "60"], "stream": True, "timeout_secs": 90})
    assert next(events)["event"] == "started"
    os.kill(one["pid"], signal.SIGKILL)
    last = list(events)[-1]
    assert last["event"] == "error" and one["id"] in last["error"], last
    # The stream ends with the agent's connection; the launcher tells of its death on another one.
    info = rest.ok("POST", f"/v1/sandboxes/{one['id']}/wait",
                   {"state": "ended", "timeout_secs": 20})
    assert info["state"] == "ended" and "SIGKILL" in info["ended"], info


@pytest.mark.parametrize("arguments, code", [
    (["eval", "sb-none", "1"], 4),
    (["fork", "nothing", "-n", "1"], 4),
    (["fork", "../x", "-n", "1"], 2),
    (["fork", "tiny", "-n", "0"], 2),
    (["nonsense"], 2),
    (["exec", "sb-none", "--", "true"], 125),
    (["recipe", "check", "/nonexistent.yaml"], 4),
])
def test_exit_codes_of_the_command(installation, arguments, code):
    done = installation.command(*arguments)
    assert done.returncode == code, done
    assert done.stderr.strip(), "an error says something"


def test_no_daemon_at_the_given_address(installation):
    done = installation.command("ls", "--url", "unix:/nonexistent.sock")
    assert done.returncode == 69 and b"/nonexistent.sock" in done.stderr, done


def test_exit_code_and_stdin_pass_through(installation, rest):
    one = rest.fork("tiny")[0]["id"]
    script = "cat; echo err >&2; exit 7"
    done = installation.command("exec", one, "--", "sh", "-c", script, input=b"hello")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"hello", b"err\n")
    assert installation.command("exec", one, "--", "sh", "-c", "kill -9 $$").returncode == 137


def test_json_for_machines(installation, rest):
    one = rest.fork("tiny")[0]["id"]
    listed = json.loads(installation.command("ls", "--json").stdout)
    assert one in [s["id"] for s in listed]
    assert "tiny" in [s["tag"] for s in json.loads(installation.command("images", "--json").stdout)]
