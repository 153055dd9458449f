"""Reads a SPAWN frame."""

from __future__ import annotations

import os
from typing import Dict, List

from forkd_runtime import frames
from forkd_runtime.frames import Frame
from forkd_runtime.program import KINDS, Program


class Refused(Exception):
    """The request cannot be served; `kind` is one of the protocol's error kinds."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def read_program(frame: Frame) -> Program:
    """A Program, or Refused."""
    kind = frame.text(frames.K_KIND)
    if kind not in KINDS:
        raise Refused("invalid", "kind must be one of %s, not %r" % (", ".join(KINDS), kind))
    key = frames.K_CODE if kind == "code" else frames.K_TARGET
    text = frame.text(key)
    if text is None or (not text and kind != "code"):
        raise Refused("invalid", "a %s needs field %d" % (kind, key))
    if len(frame.fds) != 3:
        raise Refused("invalid", "SPAWN needs 3 descriptors, not %d" % len(frame.fds))
    cwd = frame.text(frames.K_CWD)
    if cwd is not None and not os.path.isdir(cwd):
        raise Refused("not_found", "the working directory %r does not exist" % cwd)
    env = read_environment(frame.texts(frames.K_ENV))
    return Program(kind, text, frame.texts(frames.K_ARGV), env, cwd, frame.fds)


def read_environment(entries: List[str]) -> Dict[str, str]:
    """K=V texts as a dictionary; the last of equal keys counts."""
    env = {}
    for entry in entries:
        key, separator, value = entry.partition("=")
        if not key or not separator:
            raise Refused("invalid", "not K=V: %r" % entry)
        env[key] = value
    return env
