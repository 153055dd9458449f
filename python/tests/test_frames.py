"""The codec, with input of a peer that cannot be trusted."""

from __future__ import annotations

import os
import random
import socket
import struct

import pytest

from forkd_runtime import frames
from forkd_runtime.channel import Channel
from forkd_runtime.frames import Decoder, ProtocolError, encode
from forkd_runtime.session import bounded


def test_bytes_of_a_frame() -> None:
    frame = encode(0x41, 7, ((14, 5), (32, "é")))
    body = b"\x0e" + struct.pack(">Iq", 8, 5) + b"\x20" + struct.pack(">I", 2) + "é".encode()
    assert frame == struct.pack(">IBI", 5 + len(body), 0x41, 7) + body


def test_round_trip_in_single_bytes() -> None:
    stream = encode(1, 2, ((3, "A=1"), (3, "B=2"), (11, b"\0\xff"))) + encode(4, 5)
    decoder = Decoder()
    found = [frame for byte in stream for frame in decoder.feed(bytes([byte]))]
    assert [(frame.type, frame.id) for frame in found] == [(1, 2), (4, 5)]
    assert found[0].texts(3) == ["A=1", "B=2"]
    assert found[0].data(11) == b"\0\xff"
    assert found[1].fields == {}


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack(">IBI", 4, 1, 1),
        struct.pack(">IBI", 0, 1, 1),
        struct.pack(">IBI", frames.FRAME_MAX + 1, 1, 1),
        struct.pack(">IBI", 0xFFFFFFFF, 1, 1),
        struct.pack(">IBI", 6, 1, 1) + b"\x01",
        struct.pack(">IBIBI", 10, 1, 1, 2, 1),
        struct.pack(">IBIBI", 10, 1, 1, 2, 0xFFFFFFFF),
    ],
)
def test_broken_frames(stream: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(stream)


def test_an_incomplete_frame_is_no_frame() -> None:
    assert Decoder().feed(encode(1, 1, ((11, b"x" * 100),))[:-1]) == []


def test_noise_never_raises_anything_else() -> None:
    noise = random.Random(1)
    for _ in range(3000):
        stream = struct.pack(">I", noise.randrange(0, 64)) + noise.randbytes(64)
        try:
            for frame in Decoder().feed(stream):
                frame.text(11), frame.integer(14, 0, 0, 9), frame.texts(3)
        except ProtocolError:
            continue


@pytest.mark.parametrize("value", [b"", b"1234567", b"123456789", struct.pack(">q", -1)])
def test_bad_integers(value: bytes) -> None:
    (frame,) = Decoder().feed(encode(1, 1, ((14, value),)))
    with pytest.raises(ProtocolError):
        frame.integer(14, 0, 0, 100)


def test_a_nul_in_a_text() -> None:
    (frame,) = Decoder().feed(encode(1, 1, ((32, b"a\0b"),)))
    with pytest.raises(ProtocolError):
        frame.text(32)


def test_what_users_print_becomes_valid_text() -> None:
    (frame,) = Decoder().feed(encode(1, 1, ((32, "a\0b\udcffc"),)))
    assert frame.text(32) == "a\ufffdb\\udcffc"


def test_too_large_a_frame_is_not_written() -> None:
    with pytest.raises(ValueError):
        encode(1, 1, ((11, bytes(frames.FRAME_MAX)),))


@pytest.mark.parametrize("text", ["", "abc", "äöü" * 9, "\udcff" * 9, "a\0" * 9, "𝄞" * 9])
@pytest.mark.parametrize("limit", range(12))
@pytest.mark.parametrize("keep_end", [False, True])
def test_bounded_text(text: str, limit: int, keep_end: bool) -> None:
    encoded, cut = bounded(text, limit, keep_end)
    whole = frames.encode_text(text)
    assert len(encoded) <= limit
    assert cut == (len(whole) > limit)
    text_of_whole, text_of_part = whole.decode(), encoded.decode()
    if keep_end:
        assert text_of_whole.endswith(text_of_part)
    else:
        assert text_of_whole.startswith(text_of_part)


def test_descriptors_stay_with_their_frames() -> None:
    ours, theirs = socket.socketpair()
    sender, receiver = Channel(ours.detach()), Channel(theirs.detach())
    ends = [os.pipe() for _ in range(3)]
    for index, (_, write_end) in enumerate(ends):
        sender.send_with_fds(1, index, ((11, b"x" * 100000),), [write_end, write_end])
        sender.send(2, index)
        os.close(write_end)
        found = []
        while len(found) < 2:
            found += receiver.receive()
        assert [(frame.type, len(frame.fds)) for frame in found] == [(1, 2), (2, 0)]
        os.write(found[0].fds[0], b"here")
        assert not os.get_inheritable(found[0].fds[0])
        assert os.read(ends[index][0], 9) == b"here"
        for fd in (*found[0].fds, ends[index][0]):
            os.close(fd)
    sender.close()
    with pytest.raises(EOFError):
        receiver.receive()
    receiver.close()


def test_a_frame_that_lacks_its_descriptors() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        receiver = Channel(theirs.detach())
        ours.sendall(encode(1, 1, ((frames.K_FDS, 1),)))
        with pytest.raises(ProtocolError):
            receiver.receive()
        receiver.close()
