"""A machine beyond this one, with public addresses and a private one: a network namespace.

The addresses are public ones that nobody uses any more (RFC 7526): none that a host may need.
"""
from __future__ import annotations

import secrets
import subprocess
import sys
from contextlib import contextmanager
from typing import Iterator

PUBLIC, OTHER, PRIVATE = "192.88.99.7", "192.88.99.8", "10.99.0.7"
OUTSIDE_SERVER = """
import socket, threading
def serve(address, port):
    listener = socket.create_server((address, port))
    while True:
        peer, _ = listener.accept()
        peer.sendall(b"from " + address.encode()); peer.close()
for address in %r:
    for port in (80, 81):
        threading.Thread(target=serve, args=(address, port)).start()
print("up", flush=True)
""" % ((PUBLIC, OTHER, PRIVATE),)


def ip(*words: str) -> None:
    subprocess.run(["/usr/sbin/ip", *words], check=True, timeout=30)


@contextmanager
def machine() -> Iterator[None]:
    name = "outside-%s" % secrets.token_hex(3)
    device = "o%s" % secrets.token_hex(4)
    ip("netns", "add", name)
    try:
        ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("addr", "add", "192.88.99.1/28", "dev", device)
        ip("link", "set", device, "up")
        ip("route", "add", PRIVATE + "/32", "dev", device)
        for address in (PUBLIC + "/28", OTHER + "/28", PRIVATE + "/32"):
            ip("-n", name, "addr", "add", address, "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        server = subprocess.Popen(
            ["/usr/sbin/ip", "netns", "exec", name, sys.executable, "-c", OUTSIDE_SERVER],
            stdout=subprocess.PIPE)
        assert server.stdout is not None and server.stdout.readline() == b"up\n"
        yield
        server.kill()
        server.wait()
    finally:
        ip("netns", "del", name)
