"""Warms and then serves the runtime channel in this very process: a virtual machine's guest.

    python3 -m forkd_runtime.serve --fd N --warm FILE

FILE holds the JSON of a warm-up. A failure is answered by RT_ERROR and exit code 1.
"""

from __future__ import annotations

from forkd_runtime.recorder import RECORDER

if __name__ == "__main__":  # before anything else is imported
    RECORDER.start()

import argparse
import os
import sys

from forkd_runtime import frames
from forkd_runtime.channel import Channel
from forkd_runtime.runtime import Runtime, Step
from forkd_runtime.warm import Launch, Spec, WarmFailed, log, warm
from forkd_runtime.zygote import run

_TRACEBACK_MAX = 65536


def serve(launch: Launch, fd: int, path: str) -> Step:
    """The first step: warms, then serves."""
    channel = Channel(fd)
    os.set_inheritable(fd, False)
    try:
        with open(path, "rb") as file:
            spec = Spec(file.read())
        log("forkd: warming up")
        warmed = warm(launch, spec)
    except WarmFailed as failure:
        # The agent passes on one line; the host reads the rest of it here.
        sys.stderr.write(failure.traceback)
        log("forkd: failed: %s" % " ".join(str(failure).split()))
        fields = (
            (frames.K_KIND, "runtime"),
            (frames.K_MESSAGE, str(failure)),
            (frames.K_TRACEBACK, failure.traceback[-_TRACEBACK_MAX:]),
        )
        channel.send(frames.RT_ERROR, 0, fields)
        os._exit(1)
    return Runtime(channel, warmed).serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="forkd_runtime.serve")
    parser.add_argument("--fd", type=int, required=True, help="descriptor of the runtime channel")
    parser.add_argument("--warm", required=True, help="file with the warm-up's JSON")
    options = parser.parse_args()
    launch = Launch()
    run(lambda: serve(launch, options.fd, options.warm))


if __name__ == "__main__":
    main()
