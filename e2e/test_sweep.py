"""What nobody needs goes from the disk while the daemon runs."""

import json

from conftest import own_daemon
from host import eventually

# Its image is made of its file; its warm-up fails when the image is there.
FAILS = """\
name: fails
image: host
runtime: {language: python, interpreter: /usr/bin/python3}
files: [{from: file, to: /opt/file}]
warm: {script: "raise SystemExit('no')"}
"""


def swept(rest, what: str) -> int:
    lines = rest.raw("GET", "/metrics")[1].decode().splitlines()
    start = 'forkd_swept_total{what="%s"} ' % what
    return int(next((line[len(start):] for line in lines if line.startswith(start)), 0))


def test_what_was_left_is_removed_and_what_is_needed_stays():
    with own_daemon("--bind", "none", "--sweep-interval", "1") as installed:
        rest, images = installed.rest, installed.state / "images"
        needed = {path.name for path in images.glob("*.json")}
        (installed.directory / "file").write_text("made for nothing\n")
        files, others = swept(rest, "files"), swept(rest, "images")
        left = installed.state / "snapshots" / ".staging-tiny-1"
        left.mkdir()
        body = {"recipe": FAILS, "recipe_dir": str(installed.directory)}
        status, reply = rest.call("POST", "/v1/snapshots", body)
        assert status >= 400 and "no" in json.dumps(reply), reply
        eventually("the image of a failed warm-up is left", lambda: (
            swept(rest, "images") > others
            and {path.name for path in images.glob("*.json")} == needed))
        eventually("a directory is left", lambda: not left.exists())
        assert swept(rest, "files") > files
        (sandbox,) = rest.fork("tiny")
        assert rest.eval(sandbox["id"], "6 * 7")["result"] == "42"
