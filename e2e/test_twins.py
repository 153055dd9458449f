"""200 children of one snapshot: what must differ differs in all, what must agree agrees in all.

docs/fork-correctness.md names the rows of this table.
"""

import ast
import concurrent.futures
import time

import pytest

N = 200

RECIPE = """\
name: twins
image: host
runtime: {language: python, interpreter: /usr/bin/python3}
workdir: /workdir
warm:
  imports: [numpy, random, uuid, secrets, tempfile, ssl, socket, multiprocessing]
  script: |
    import os, random, secrets, tempfile, time, uuid, multiprocessing
    import numpy
    # Used once, so that every generator has a state that a fork would copy.
    random.random(); numpy.random.rand(); secrets.token_hex(); uuid.uuid1(); uuid.uuid4()
    tempfile.mktemp()
    log = open("/tmp/warm.log", "a")
    warmed_at, warmed_monotonic, warmed_set = time.time(), time.monotonic(), {"a", "b", "c", "d"}
    warmed_pid = os.getpid()
  allow: [file]
"""

# What every child must have for itself.
DIFFERING = {
    "python_random": "random.random()",
    "numpy_global": "numpy.random.rand()",
    "numpy_generator_made_later": "numpy.random.default_rng().random()",
    "secrets": "secrets.token_hex(16)",
    "urandom": "os.urandom(16)",
    "getrandom": "os.getrandom(16)",
    "kernel_uuid": "open('/proc/sys/kernel/random/uuid').read()",
    "uuid1": "uuid.uuid1().hex",
    "uuid1_node": "(uuid.uuid1().node, uuid.uuid1().clock_seq)",
    "uuid4": "uuid.uuid4().hex",
    "openssl": "__import__('ssl').RAND_bytes(16)",
    "temporary_name": "tempfile.mktemp()",
    "hostname": "__import__('socket').gethostname()",
    "hostname_in_etc": "open('/etc/hostname').read()",
    "machine_id": "open('/etc/machine-id').read()",
    "multiprocessing_key": "bytes(multiprocessing.current_process().authkey)",
    "pid_namespace": "os.readlink('/proc/self/ns/pid')",
    "network_namespace": "os.readlink('/proc/self/ns/net')",
    "mount_namespace": "os.readlink('/proc/self/ns/mnt')",
}

# What every child must have in common with all others, or with the host.
AGREEING = {
    "pid_of_the_agent": "open('/proc/1/comm').read()",
    "uid": "os.getresuid()",
    "working_directory": "os.getcwd()",
    "environment": "sorted(k for k in os.environ)",
    "hash_seed": "hash('forkd')",
    "order_of_a_warm_set": "list(warmed_set)",
    "warm_data": "(warmed_at, warmed_pid)",
    "modules": "numpy.__version__",
    "time_zone": "time.tzname",
    "kernel": "os.uname().release",
    "network": "sorted(os.listdir('/sys/class/net'))",
    "temporary_directory": "sorted(os.listdir('/tmp'))",
    "offset_of_a_log": "log.tell()",
    "children": "multiprocessing.active_children()",
}

LOOK = "{%s}" % ", ".join("%r: (%s)" % item for item in {**DIFFERING, **AGREEING}.items())
CLOCKS = "(time.time(), time.monotonic() - warmed_monotonic >= 0, time.monotonic())"


@pytest.fixture(scope="module")
def answers(installation):
    """What each of N children says, and the clocks of the first one beside ours."""
    rest = installation.rest
    rest.ok("POST", "/v1/snapshots", {"recipe": RECIPE, "recipe_dir": "/"})
    made = [s["id"] for s in rest.fork("twins", N)]

    def look(sandbox):
        reply = rest.eval(sandbox, LOOK)
        assert reply["error"] is None, reply
        return ast.literal_eval(reply["result"])
    try:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            told = list(pool.map(look, made))
        before = time.time()
        wall, forward, _ = ast.literal_eval(rest.eval(made[-1], CLOCKS)["result"])
        yield told, (before, wall, time.time(), forward)
    finally:
        for sandbox in made:
            rest.kill(sandbox)
        rest.ok("DELETE", "/v1/snapshots/twins")


@pytest.mark.parametrize("what", sorted(DIFFERING))
def test_all_differ_in(answers, what):
    values = [told[what] for told in answers[0]]
    assert len(set(values)) == N, sorted(map(str, values))[:4]


@pytest.mark.parametrize("what", sorted(AGREEING))
def test_all_agree_in(answers, what):
    values = {repr(told[what]) for told in answers[0]}
    assert len(values) == 1, sorted(values)[:4]


def test_the_clock_is_the_hosts(answers):
    before, wall, after, forward = answers[1]
    assert before - 1 <= wall <= after + 1 and forward


def test_a_write_through_an_inherited_file_moves_nobody_elses_offset(installation, answers):
    rest = installation.rest
    one, other = (s["id"] for s in rest.fork("twins", 2))
    assert rest.eval(one, "_ = log.write('x' * 99), log.flush()")["error"] is None
    assert rest.eval(other, "log.tell(), os.path.getsize('/tmp/warm.log')")["result"] == "(0, 0)"
    for sandbox in (one, other):
        rest.kill(sandbox)
