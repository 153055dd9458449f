"""Programs that go on without a client."""

import json
import threading

from host import eventually


def read(rest, program, offset=0, follow=True):
    """Events of its output."""
    path = f"{program['path']}/output?offset={offset}" + ("&follow=true" if follow else "")
    status, body = rest.raw("GET", path)[:2]
    assert status == 200, body
    return [json.loads(line) for line in body.splitlines() if line.strip()]


def detach(rest, sandbox, *args, **more):
    program = rest.ok("POST", f"/v1/sandboxes/{sandbox}/exec",
                      {"args": list(args), "detach": True, **more})
    return {**program, "path": f"/v1/sandboxes/{sandbox}/programs/{program['program']}"}


def text(events):
    return "".join(event.get("data", "") for event in events)


def test_it_is_read_by_several_and_from_where_one_left(rest):
    (sandbox,) = rest.fork("tiny")
    program = detach(rest, sandbox["id"], "sh", "-c",
                     "echo one; read line; echo $line; echo err >&2; exit 3", stdin=True)
    eventually("it writes nothing", lambda: text(read(rest, program, 0, False)) == "one\n")
    readers = []
    threads = [threading.Thread(target=lambda: readers.append(read(rest, program)))
               for _ in range(3)]
    for thread in threads:
        thread.start()
    offset = read(rest, program, 0, False)[-1]["offset"]
    assert rest.raw("POST", program["path"] + "/stdin?eof=false", b"two\n")[0] == 204
    for thread in threads:
        thread.join(30)
    rest_of_it = read(rest, program, offset)
    assert sorted(text(rest_of_it).split()) == ["err", "two"]
    assert rest_of_it[-1]["event"] == "exit" and rest_of_it[-1]["exit_code"] == 3
    assert [sorted(text(events).split()) for events in readers] == [["err", "one", "two"]] * 3
    told = rest.ok("GET", program["path"])
    assert (told["running"], told["exit_code"]) == (False, 3)
    rest.kill(sandbox["id"])
    assert rest.call("GET", program["path"])[0] == 404


def test_it_does_not_wait_for_a_reader_and_its_last_output_is_kept(rest):
    (sandbox,) = rest.fork("tiny")
    program = detach(rest, sandbox["id"], "python3", "-c",
                     "for i in range(200_000): print(i)\nprint('done', flush=True)")
    eventually("it waits", lambda: not rest.ok("GET", program["path"])["running"])
    events = read(rest, program)
    assert events[1]["event"] == "lost" and events[1]["bytes"] > 500_000
    assert text(events).endswith("199999\ndone\n")
    assert len(text(events)) + events[1]["bytes"] == rest.ok("GET", program["path"])["output_to"]


def test_it_is_ended_with_all_that_it_started(rest):
    (sandbox,) = rest.fork("tiny")
    program = detach(rest, sandbox["id"], "sh", "-c", "sleep 1234 & wait")
    running = ("import glob; sum(b'1234' in open(p, 'rb').read() for p in"
               " glob.glob('/proc/[0-9]*/cmdline'))")
    eventually("it does not start", lambda: rest.eval(sandbox["id"], running)["result"] == "2")
    assert rest.call("DELETE", program["path"])[0] == 204
    eventually("it goes on", lambda: rest.eval(sandbox["id"], running)["result"] == "0")
    assert rest.ok("GET", f"/v1/sandboxes/{sandbox['id']}/programs") == []


def test_the_command_line(installation, rest):
    (sandbox,) = rest.fork("tiny")
    script = "echo one; sleep 0.3; echo two; exit 7"
    started = installation.command("exec", "-d", sandbox["id"], "sh", "-c", script)
    name = started.stdout.decode().strip()
    assert started.returncode == 0 and name.startswith("p-"), started
    attached = installation.command("attach", sandbox["id"], name)
    assert (attached.returncode, attached.stdout) == (7, b"one\ntwo\n"), attached
    later = installation.command("attach", sandbox["id"], name, "--offset", "4")
    assert (later.returncode, later.stdout) == (7, b"two\n")
    listed = installation.command("programs", sandbox["id"]).stdout.decode()
    assert name in listed and "exit 7" in listed and "sh -c echo one" in listed
    fed = installation.command("exec", "-d", sandbox["id"], "cat").stdout.decode().strip()
    both = installation.command("attach", "-i", sandbox["id"], fed, input=b"through\n")
    assert (both.returncode, both.stdout) == (0, b"through\n"), both
    assert installation.command("programs", sandbox["id"], "--end", name).returncode == 0
    assert installation.command("attach", sandbox["id"], name).returncode == 4
