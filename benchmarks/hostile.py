"""Bodies of 2 MB that cost their reader dearly, and how they are sent."""

import contextlib
import random
import socket
import threading
from collections.abc import Iterator

from benchmarks.cases import KEY
from benchmarks.targets import Running

SIZE_BYTES = 2_000_000


def _said(content: str) -> bytes:
    return b'{"model":"gpt-4o-mini","max_tokens":1,"messages":[{"role":"user","content":"%b"}]}' % (
        content.encode()
    )


def _beside(member: str) -> bytes:
    return (
        b'{"model":"gpt-4o-mini","max_tokens":1,"messages":[{"role":"user","content":"Hi"}],%b}'
        % member.encode()
    )


def _letters() -> str:
    # Seeded: every target gets the same.
    dice = random.Random(1)
    return "".join(chr(dice.randrange(0x4E00, 0x9FFF)) for _ in range(SIZE_BYTES // 3))


# Each is answered, or refused, in the end: what counts is how long others wait meanwhile.
HOSTILE = {
    "empty lists": b'{"model":"gpt-4o-mini","messages":[%b[]]}' % (b"[]," * (SIZE_BYTES // 3)),
    "depth": b'{"model":"gpt-4o-mini","messages":%b' % (b"[" * SIZE_BYTES),
    "keys": _beside(",".join(f'"k{n}":0' for n in range(SIZE_BYTES // 11))),
    "digits": _beside(f'"seed":{"9" * SIZE_BYTES}'),
    "one letter": _said("a" * SIZE_BYTES),
    "blanks": _said(" " * SIZE_BYTES),
    "Chinese": _said(_letters()),
}
PATIENCE_SECONDS = 30.0


def send(target: Running, body: bytes) -> None:
    """Send a body and wait for the answer, whatever it is."""
    fields = "".join(f"{field}\r\n" for field in target.fields)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        f"Connection: close\r\n{fields}\r\n"
    )
    with contextlib.suppress(OSError):
        address = ("127.0.0.1", target.port)
        with socket.create_connection(address, PATIENCE_SECONDS) as client:
            client.sendall(head.encode() + body)
            while client.recv(1 << 16):
                pass


@contextlib.contextmanager
def sent(target: Running, body: bytes) -> Iterator[threading.Thread]:
    """Have a body sent meanwhile; it is answered when the thread has ended."""
    thread = threading.Thread(target=send, args=(target, body))
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
