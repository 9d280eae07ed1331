"""Calls one at a time on one connection, and how long each took: what load generators for throughput do not tell."""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator

from benchmarks.cases import KEY, REPLY, SERIAL, SMALL, Case, request
from benchmarks.loads import LoadFailedError
from benchmarks.targets import Running

# How long an answer may take, and the first one since the start.
ANSWER_SECONDS = 30.0
START_SECONDS = 90.0


class Client:
    """A client that asks one case's calls, no two of them alike."""

    def __init__(self, target: Running, case: Case = SMALL, key: str = KEY) -> None:
        self._port = target.port
        asked = request(case, target.port, target.fields).replace(KEY.encode(), key.encode())
        before, _, after = asked.partition(SERIAL.encode())
        self._halves = before, after
        self._serial = time.monotonic_ns() % 50_000_000
        self._socket = self._connect()

    def ask(self) -> float:
        """Return the seconds until the answer was whole.

        Raises LoadFailedError.
        """
        began = self._send()
        said = self._read_until(b"\r\n\r\n")
        head, _, body = said.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n") if b": " in line)
        if (length := fields.get(b"content-length")) is not None:
            while len(body) < int(length):
                body += self._receive()
        else:
            while not body.endswith(b"0\r\n\r\n"):
                body += self._receive()
        took = time.perf_counter() - began
        if not head.startswith(b"HTTP/1.1 200 "):
            raise LoadFailedError(head.decode("latin-1").partition("\r\n")[0])
        return took

    def first_event(self) -> float:
        """Return the seconds until a stream's first event came; the stream is then left.

        Raises LoadFailedError.
        """
        began = self._send()
        self._read_until(b"@")
        took = time.perf_counter() - began
        self.reconnect()
        return took

    def reconnect(self) -> None:
        """Take another connection."""
        self._socket.close()
        self._socket = self._connect()

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _connect(self) -> socket.socket:
        try:
            fresh = socket.create_connection(("127.0.0.1", self._port), ANSWER_SECONDS)
        except OSError as error:
            raise LoadFailedError(f"no connection: {error}") from error
        fresh.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return fresh

    def _send(self) -> float:
        self._serial += 1
        before, after = self._halves
        asked = b"%b%08d%b" % (before, self._serial, after)
        began = time.perf_counter()
        try:
            self._socket.sendall(asked)
        except OSError as error:
            raise LoadFailedError(f"the connection ended: {error}") from error
        return began

    def _receive(self) -> bytes:
        try:
            said = self._socket.recv(1 << 16)
        except TimeoutError as error:
            raise LoadFailedError(f"no answer in {ANSWER_SECONDS:g} s") from error
        except OSError as error:
            raise LoadFailedError(f"the connection ended: {error}") from error
        if not said:
            raise LoadFailedError("the connection ended")
        return said

    def _read_until(self, mark: bytes) -> bytes:
        said = b""
        while mark not in said:
            said += self._receive()
        return said


def first_answer(target: Running) -> tuple[float, bool]:
    """Ask until it answers; return the seconds since its start, and whether the bytes are the upstream's.

    Raises LoadFailedError.
    """
    why: object = ""
    while time.monotonic() < target.began + START_SECONDS:
        try:
            status, said = _ask(target)
        except (OSError, http.client.HTTPException) as error:
            status, said, why = 0, b"", error
        if status == 200:
            took = time.monotonic() - target.began
            if said != REPLY and _answer(said) != _answer(REPLY):
                raise LoadFailedError(f"another answer: {said!r}")
            return took, said == REPLY
        why = why or f"{status} {said[:200]!r}"
        time.sleep(0.005)
    raise LoadFailedError(f"no answer within {START_SECONDS:g} s: {why}")


def _answer(said: bytes) -> object:
    try:
        return json.loads(said)["choices"][0]["message"]["content"]
    except (ValueError, LookupError, TypeError):
        return None


def _ask(target: Running) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=ANSWER_SECONDS)
    head, _, body = request(SMALL, target.port, target.fields).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")[2:]
    fields = dict(line.split(": ", 1) for line in lines)
    fields["Accept-Encoding"] = "identity"
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", body, fields)
        reply = connection.getresponse()
        return reply.status, reply.read()


@contextlib.contextmanager
def beside(client: Client, per_second: float) -> Iterator[None]:
    """Let a client ask at a fixed rate meanwhile."""
    over = threading.Event()
    failed: list[LoadFailedError] = []

    def ask() -> None:
        due = time.monotonic()
        while not over.is_set():
            try:
                client.ask()
            except LoadFailedError as error:
                failed.append(error)
                return
            due = max(due + 1 / per_second, time.monotonic())
            over.wait(due - time.monotonic())

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failed:
        raise failed[0]
