"""What is measured: the table of cases, and the bytes that go up and come down in them."""

import json
from dataclasses import dataclass

# Becomes a number that counts up, so that no two requests are alike.
SERIAL = "########"

KEY = "sk-benchmark-0123456789abcdef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One load. Without a rate it asks for whole replies as fast as they come; with one, for streams at that pace."""

    name: str
    body: bytes
    # Calls in progress at a time.
    concurrency: int
    # Chunks a second in each stream.
    rate: int | None = None
    # Equal calls: only a header field that does not count differs.
    equal: bool = False

    @property
    def unit(self) -> str:
        """What the figures are counted by."""
        return "request" if self.rate is None else "chunk"


def _turn(role: str, size_bytes: int) -> dict[str, str]:
    words = "The quick brown fox jumps over the lazy dog and thinks of rivers, keys and clocks. "
    return {"role": role, "content": (words * (size_bytes // len(words) + 1))[:size_bytes]}


def _body(*turns: dict[str, str], stream: bool = False) -> bytes:
    question = {"role": "user", "content": f"Question {SERIAL}: what follows from this?"}
    payload: dict[str, object] = {
        "model": "gpt-4o-mini",
        "messages": [*turns, question],
        "temperature": 0.7,
        "max_tokens": 256,
        **({"stream": True} if stream else {}),
    }
    return json.dumps(payload).encode()


def _equal(body: bytes) -> bytes:
    """Return a body whose answer repeats, and that always is the same."""
    return body.replace(b'"temperature": 0.7', b'"temperature": 0').replace(
        SERIAL.encode(), b"0" * 8
    )


_SMALL = _turn("system", 324)
_TURNS = [_turn(role, 215) for _ in range(20) for role in ("user", "assistant")][1:]

CASES = (
    Case(name="0.5 KB", body=_body(_SMALL), concurrency=32),
    Case(name="10 KB, 20 turns", body=_body(*_TURNS), concurrency=32),
    Case(name="200 KB", body=_body(_turn("user", 200_000)), concurrency=16),
    Case(name="2 MB", body=_body(_turn("user", 2_000_000)), concurrency=4),
    Case(name="0.5 KB, asked again", body=_equal(_body(_SMALL)), concurrency=32, equal=True),
    Case(name="20 streams", body=_body(_SMALL, stream=True), concurrency=20, rate=250),
    Case(name="1,000 streams", body=_body(_SMALL, stream=True), concurrency=1_000, rate=10),
)

_REPLY_BYTES = 562


def _reply() -> bytes:
    usage = {"prompt_tokens": 96, "completion_tokens": 42, "total_tokens": 138}
    message = {"role": "assistant", "content": ""}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    reply = {
        "id": "chatcmpl-BenchmarkBenchmarkBenchmark",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [choice],
        "usage": usage,
        "system_fingerprint": "fp_0123456789",
    }
    message["content"] = _turn("assistant", _REPLY_BYTES - len(json.dumps(reply)))["content"]
    return json.dumps(reply).encode()


def _event(size_bytes: int) -> bytes:
    delta = {"content": ""}
    event = {
        "id": "chatcmpl-BenchmarkBenchmarkBenchmark",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
    }
    frame = len("data: \n\n")
    delta["content"] = _turn("", size_bytes - frame - len(json.dumps(event)))["content"]
    return f"data: {json.dumps(event)}\n\n".encode()


# What the upstream says: a whole reply, or the same event over and over; and how that looks on the wire.
REPLY = _reply()
EVENT = _event(300)
REPLY_ON_THE_WIRE = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: application/json\r\n"
    b"Content-Length: %d\r\n"
    b"x-request-id: req_benchmark\r\n"
    b"\r\n%b" % (len(REPLY), REPLY)
)
STREAM_ON_THE_WIRE = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n"
    b"x-request-id: req_benchmark\r\n"
    # nginx then passes each piece on at once.
    b"X-Accel-Buffering: no\r\n"
    b"\r\n%x\r\n%b\r\n" % (len(EVENT), EVENT)
)


def request(case: Case, port: int) -> bytes:
    """Return the bytes of one request of a case, as an OpenAI SDK would send them."""
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{port}\r\n"
        "Accept: application/json\r\n"
        "Accept-Encoding: gzip, deflate\r\n"
        "User-Agent: OpenAI/Python 2.0.0\r\n"
        f"Authorization: Bearer {KEY}\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(case.body)}\r\n"
    )
    pace = "" if case.rate is None else f"X-Chunks-Per-Second: {case.rate}\r\n"
    serial = f"X-Stainless-Serial: {SERIAL}\r\n" if case.equal else ""
    return f"{head}{pace}{serial}\r\n".encode() + case.body
