"""The wall clock jumps by a day under a daemon that has work to do (libfaketime, as nobody may set
the clock of the machine that tests run on)."""

import os
import subprocess
import time

from conftest import ROUNDS, TINY, own_installation

DAY = 86_400


def library() -> str:
    listed = subprocess.run(["dpkg", "-L", "libfaketime"], capture_output=True, text=True)
    found = [line for line in listed.stdout.splitlines() if line.endswith("libfaketimeMT.so.1")]
    assert found, "libfaketime is missing; run: scripts/setup.sh test"
    return found[0]


def test_a_clock_that_is_stepped_by_a_day():
    with own_installation() as installed:
        rest, offset = installed.rest, installed.directory / "offset"
        installed.environment.update(
            LD_PRELOAD=library(), FAKETIME_TIMESTAMP_FILE=str(offset),
            FAKETIME_CACHE_DURATION="1", FAKETIME_DONT_FAKE_MONOTONIC="1")

        def step(days: int) -> None:
            offset.with_suffix(".new").write_text(f"{days:+d}d\n")
            os.replace(offset.with_suffix(".new"), offset)

        step(0)
        installed.start()
        rest.ok("POST", "/v1/snapshots", {"recipe": TINY, "recipe_dir": "/"})
        now = time.time()
        keeper = rest.fork("tiny", ttl_secs=3600, idle_timeout_secs=3600)[0]["id"]
        short = rest.fork("tiny", ttl_secs=36000)[0]["id"]
        rest.eval(keeper, "x = 1")
        seen = set()
        for round_number in range(max(3, ROUNDS)):
            days = (1, -1, 0)[round_number % 3]
            step(days)
            deadline = time.monotonic() + 10
            while abs((one := rest.fork("tiny")[0])["created_at_unix"] - now - days * DAY) > 1800:
                assert time.monotonic() < deadline, "the step did not arrive"
                rest.kill(one["id"])
            assert one["id"] not in seen
            seen.add(one["id"])
            assert rest.exec(one["id"], "sleep", "0.01", timeout_secs=5)["exit_code"] == 0
            late = rest.exec(one["id"], "sleep", "60", timeout_secs=1)
            assert late["timed_out"] and 900 < late["duration_ms"] < 8000, late
            status, _ = rest.call("POST", f"/v1/sandboxes/{one['id']}/wait",
                                  {"state": "ended", "timeout_secs": 1})
            assert status == 504
            rest.kill(one["id"])
            told = {s["id"]: s for s in rest.ok("GET", "/v1/sandboxes")}
            assert set(told) == {keeper, short}, "a sandbox expired by the wall clock"
            assert told[keeper]["expires_in_ms"] > 2000_000
            rest.ok("POST", f"/v1/sandboxes/{short}/renew", {})
        assert rest.eval(keeper, "x")["result"] == "1"
        newest = rest.ok("GET", "/v1/events?limit=1")
        assert newest[0]["kind"] == "sandbox.renewed", newest
        installed.stop()
        step(-1)
        installed.start()
        assert [s["tag"] for s in rest.ok("GET", "/v1/snapshots") if s["bootable"]] == ["tiny"]
        assert len(rest.fork("tiny", 2)) == 2
