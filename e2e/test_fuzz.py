"""Random requests at every route of a real daemon with real sandboxes.

FORKD_FUZZ_REQUESTS and FORKD_FUZZ_SEED choose how many and which; `make fuzz-api` sends 20 000.
"""

import http.client
import json
import os
import random
import secrets
import threading
import urllib.parse
from typing import Any, Dict, List, Tuple

import host
from conftest import Installation, TINY, own_daemon
from rest import UnixConnection

REQUESTS = int(os.environ.get("FORKD_FUZZ_REQUESTS", "600"))
SEED = int(os.environ.get("FORKD_FUZZ_SEED", "20261126"))
THREADS = 4
DECLARED = {"exhausted", "unsupported", "timeout", "engine", "unreachable", "unavailable"}
WORDS: List[Any] = [
    "", ".", "..", "../../../etc/shadow", "/etc/passwd", "/proc/1/environ", "/dev/mem",
    "%2e%2e%2f", "a\x00b",
    "tiny", "sb-1-0001", "p-0000", "ö", "a b", "x" * 65, "😀", "'; DROP TABLE snapshots",
    "\r\nX-Evil: 1", -1, 0, 1, 2**63, 1e308, True, False, None, [], {}, ["true"], ["echo", "x"],
    ["sh", "-c", "echo $((1+1))"], {"a": "b"}, {"rows": 1, "columns": 1}, "1 + 1", TINY, "name: [",
]
FIELDS = (
    "snapshot_tag n args code stdin stdin_b64 env cwd user pty warm module file name labels "
    "ttl_secs idle_timeout_secs memory_limit_mib recipe recipe_dir engine replace path mode "
    "parents signal rows columns diff live wait parent_tag to fresh stream state per_child_netns "
    "tag").split()
QUERIES = ("path", "limit", "all", "label", "after", "cascade", "force", "mode", "recursive",
           "status", "recipe", "name", "tag")


class Fuzzer:
    """Requests of one thread; what it finds wrong is in `wrong`."""

    def __init__(self, installation: Installation, routes: List[Tuple[str, str]], number: int,
                 secret: str, outside: str) -> None:
        self._installed = installation
        self._routes = routes
        self._random = random.Random(SEED * THREADS + number)
        self._secret = secret.encode()
        self._words = [*WORDS, outside, "/../../.." + outside, outside.lstrip("/")]
        self._connection = UnixConnection(str(installation.socket), 90)
        self.wrong: List[str] = []
        self.statuses: Dict[int, int] = {}

    def _sandbox(self) -> str:
        running = self._installed.rest.ok("GET", "/v1/sandboxes")
        for extra in running[6:]:
            self._installed.rest.call("DELETE", f"/v1/sandboxes/{extra['id']}")
        if running:
            return self._random.choice(running)["id"]
        status, reply = self._installed.rest.call("POST", "/v1/sandboxes", {"snapshot_tag": "tiny"})
        if status == 404:
            self._installed.rest.call("POST", "/v1/snapshots",
                                      {"recipe": TINY, "recipe_dir": "/"})
        return reply[0]["id"] if status == 201 else "sb-1-0001"

    def _path(self, route: str) -> str:
        parts = []
        for part in route.split("/"):
            if part.startswith("{"):
                known = {"{id}": self._sandbox(), "{tag}": "tiny", "{name}": "w"}
                word = known.get(part, "x") if self._random.random() < 0.8 else self._word()
                part = urllib.parse.quote(str(word), safe="") or "%20"
            parts.append(part)
        path = "/".join(parts)
        if self._random.random() < 0.5:
            query = {q: str(self._word()) for q in self._random.sample(QUERIES, 2)}
            path += "?" + urllib.parse.urlencode(query, errors="surrogatepass")
        return path

    def _word(self) -> Any:
        return self._random.choice(self._words)

    def _body(self) -> bytes:
        body: Any = {"timeout_secs": 1}
        if self._random.random() < 0.6:
            body.update(snapshot_tag="tiny", args=["echo", "x"], code="1", path="/tmp/f")
        for field in self._random.sample(FIELDS, self._random.randrange(4)):
            body[field] = self._word()
        text = json.dumps(body).encode("utf-8", "surrogatepass")
        kind = self._random.randrange(14)
        return (b"" if kind == 0 else text[:self._random.randrange(len(text))] if kind == 1 else
                self._random.randbytes(50) if kind == 2 else b"[" * 2000 + text if kind == 3 else
                text)

    def run(self, count: int) -> None:
        for _ in range(count):
            method, route = self._random.choice(self._routes)
            path, body = self._path(route), self._body()
            try:
                self._connection.request(method, path, body if method != "GET" else None,
                                         {"Content-Type": "application/json"})
                reply = self._connection.getresponse()
                status, text = reply.status, reply.read()
            except (http.client.HTTPException, OSError) as error:
                self._connection.close()
                if isinstance(error, TimeoutError):
                    self.wrong.append(f"{method} {path} {body!r}: no answer")
                continue
            self.statuses[status] = self.statuses.get(status, 0) + 1
            what = f"{method} {path} {body[:200]!r}: {status} {text[:300]!r}"
            if self._secret in text:
                self.wrong.append("escaped: " + what)
            if status >= 500 and json.loads(text)["kind"] not in DECLARED:
                self.wrong.append(what)


def test_random_requests_break_nothing():
    secret = secrets.token_hex(16)
    with own_daemon() as installed:
        rest, outside = installed.rest, installed.directory / "outside"
        outside.write_text(secret)
        label = installed.label()
        rest.kill(rest.fork("tiny")[0]["id"])
        files = host.open_files(installed.process.pid)
        routes = [(method.upper(), path) for path, methods in
                  rest.ok("GET", "/v1/openapi.json")["paths"].items() for method in methods
                  if method in ("get", "post", "put", "delete")]
        assert len(routes) > 30
        fuzzers = [Fuzzer(installed, routes, n, secret, str(outside)) for n in range(THREADS)]
        threads = [threading.Thread(target=f.run, args=(REQUESTS // THREADS,)) for f in fuzzers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [wrong for fuzzer in fuzzers for wrong in fuzzer.wrong] == []
        told: Dict[int, int] = {}
        for fuzzer in fuzzers:
            for status, count in fuzzer.statuses.items():
                told[status] = told.get(status, 0) + count
        print("fuzzed:", REQUESTS, "requests, seed", SEED, "answers", dict(sorted(told.items())))
        assert told[200] > REQUESTS // 50 and told[400] > REQUESTS // 50, told
        assert outside.read_text() == secret
        assert "defect" not in installed.log()
        for workspace in rest.ok("GET", "/v1/workspaces"):
            rest.ok("DELETE", f"/v1/workspaces/{workspace['name']}")
        for sandbox in rest.ok("GET", "/v1/sandboxes?all=true"):
            rest.kill(sandbox["id"])
        for snapshot in rest.ok("GET", "/v1/snapshots"):
            rest.call("DELETE", f"/v1/snapshots/{snapshot['tag']}?force=true")
        assert list((installed.run_dir / "agents").iterdir()) == []
        assert list((installed.state / "snapshots").iterdir()) == []
        assert [g for g in host.cgroups(label) if "/s-" in g] == []
        assert abs(host.open_files(installed.process.pid) - files) < 24
