"""Fresh randomness after a fork: children of one parent must not share their "random" numbers.

What CPython cures itself (random, secrets, uuid4) is left to it. What this
cannot cure (the hash seed, generator objects that warm-up made) is reported by `hazards`.
"""

from __future__ import annotations

import itertools
import os
import sys
from typing import Any, Mapping, Optional

_NUMPY_SEED_MAX = 2**32
_MULTICAST = 1 << 40  # of a node that is no network card (RFC 9562, 6.10)


def chosen_seed(env: Mapping[str, str], default: Optional[int]) -> Optional[int]:
    """FORKD_SEED of the environment, else the seed of the recipe, else None (fresh entropy)."""
    try:
        return int(env["FORKD_SEED"])
    except (KeyError, ValueError):
        return default


def prepare() -> None:
    """In the parent: what OpenSSL sets up at its first use takes ten times a re-seeding."""
    ssl: Any = sys.modules.get("_ssl")
    if ssl is not None:
        ssl.RAND_bytes(1)


def reseed(seed: Optional[int]) -> None:
    """Re-seeds the process-wide generators and forgets names and identities made by the parent."""
    _reseed_generators(seed)
    forget_names()
    _forget_process_identity()


def reseed_copy(seed: Optional[int]) -> None:
    """The same in a process that was copied with its whole machine: no hook of fork(2) has run, and
    the pid is as it was."""
    random = sys.modules.get("random")
    if random is not None and seed is None:
        random.seed()
    _reseed_generators(seed)
    forget_names()


def _reseed_generators(seed: Optional[int]) -> None:
    random = sys.modules.get("random")
    if random is not None and seed is not None:  # with None CPython's own at-fork hook has done it
        random.seed(seed)
    numpy_random: Any = sys.modules.get("numpy.random")
    if numpy_random is not None:
        # An integer and no array of more entropy, which would cost half a millisecond of copied
        # pages; 32 random bits are what numpy takes of it.
        fresh = int.from_bytes(os.urandom(4), "big") if seed is None else seed
        numpy_random.seed(fresh % _NUMPY_SEED_MAX)
    ssl: Any = sys.modules.get("_ssl")
    if ssl is not None:
        # OpenSSL knows a fork by another pid, and pids repeat over pid namespaces.
        ssl.RAND_add(os.urandom(32), 32.0)


def forget_names() -> None:
    """Names that must be unique, and what they are made from."""
    tempfile: Any = sys.modules.get("tempfile")
    if tempfile is not None:
        # tempfile looks at the pid to notice a fork, but the pid is 2 in every sandbox.
        tempfile._name_sequence = None
        tempfile.tempdir = None
    uuid: Any = sys.modules.get("uuid")
    if uuid is not None:
        uuid._last_timestamp = None
        # libuuid keeps node and clock sequence in memory of its own, equal in all forks, and asks
        # for neither the pid nor anything else: uuid1() is then told apart by the clock alone.
        uuid._generate_time_safe = None
        uuid._node = int.from_bytes(os.urandom(6), "big") | _MULTICAST


def _forget_process_identity() -> None:
    process: Any = sys.modules.get("multiprocessing.process")
    if process is None:
        return
    current = process.current_process()
    current._config["authkey"] = process.AuthenticationString(os.urandom(32))
    process._process_counter = itertools.count(1)
    process._children = set()
    # The spawn start method sends this directory to its children; it was read at import.
    process.ORIGINAL_DIR = os.path.abspath(os.getcwd())
    util: Any = sys.modules.get("multiprocessing.util")
    if util is not None:
        # Its guard is the pid, and pids repeat over pid namespaces.
        util._finalizer_registry.clear()
