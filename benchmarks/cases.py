"""What is measured: the table of cases, and the bytes that go up and come down in them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

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

    def slower(self, times: int) -> "Case":
        """Return the case with fewer chunks a second in each stream."""
        if self.rate is None or times == 1:
            return self
        rate = max(1, self.rate // times)
        said = b'"max_tokens": %d'
        return replace(self, rate=rate, body=self.body.replace(said % self.rate, said % rate))

    @property
    def unit(self) -> str:
        """What the figures are counted by."""
        return "request" if self.rate is None else "chunk"


def _turn(role: str, size_bytes: int) -> dict[str, str]:
    words = "The quick brown fox jumps over the lazy dog and thinks of rivers, keys and clocks. "
    return {"role": role, "content": (words * (size_bytes // len(words) + 1))[:size_bytes]}


def chat(*turns: dict[str, str], rate: int | None = None) -> bytes:
    """Return the body of a chat: for a whole reply, or a stream of `rate` chunks a second."""
    question = {"role": "user", "content": f"Question {SERIAL}: what follows from this?"}
    payload: dict[str, object] = {
        "model": "gpt-4o-mini",
        "messages": [*turns, question],
        # Whole replies are such as a cache keeps: what the gateway does for it is in the figures.
        "temperature": 0 if rate is None else 0.7,
        "max_tokens": 256 if rate is None else rate,
        **({} if rate is None else {"stream": True}),
    }
    return json.dumps(payload).encode()


def _equal(body: bytes) -> bytes:
    """Return a body that always is the same."""
    return body.replace(SERIAL.encode(), b"0" * 8)


_SMALL = _turn("system", 324)
_TURNS = [_turn(role, 215) for _ in range(20) for role in ("user", "assistant")][1:]

SMALL = Case(name="0.5 KB", body=chat(_SMALL), concurrency=32)
BIG = Case(name="200 KB", body=chat(_turn("user", 200_000)), concurrency=16)
# The large text is new each time, so that nobody can remember how many tokens it has.
_NEW_TURN = {"role": "user", "content": f"{SERIAL} {_turn('user', 200_000)['content']}"}
UNSEEN = Case(name="200 KB, unseen", body=chat(_NEW_TURN), concurrency=16)

CASES = (
    SMALL,
    Case(name="10 KB, 20 turns", body=chat(*_TURNS), concurrency=32),
    BIG,
    UNSEEN,
    Case(name="2 MB", body=chat(_turn("user", 2_000_000)), concurrency=4),
    Case(name="0.5 KB, asked again", body=_equal(chat(_SMALL)), concurrency=32, equal=True),
    Case(name="20 streams", body=chat(_SMALL, rate=250), concurrency=20, rate=250),
    Case(name="1,000 streams", body=chat(_SMALL, rate=10), concurrency=1_000, rate=10),
)


def streams(count: int, rate: int) -> Case:
    """Return a case of so many streams at so many chunks a second."""
    return Case(
        name=f"{count:,} streams", body=chat(_SMALL, rate=rate), concurrency=count, rate=rate
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
    # The upstream writes the time at which it sends the event in place of the zeros.
    stamp = f"@{0:016} "
    rest = size_bytes - frame - len(json.dumps(event)) - len(stamp)
    delta["content"] = stamp + _turn("", rest)["content"]
    return f"data: {json.dumps(event)}\n\n".encode()


# What the upstream says: a whole reply, or the same event over and over; and how that looks on the wire.
REPLY = _reply()
EVENT = _event(300)
MODELS = json.dumps(
    {"object": "list", "data": [{"id": "gpt-4o-mini", "object": "model", "owned_by": "openai"}]}
).encode()


def _on_the_wire(body: bytes) -> bytes:
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n"
    return head.format(len(body), "x-request-id: req_benchmark\r\n").encode() + body


REPLY_ON_THE_WIRE = _on_the_wire(REPLY)
MODELS_ON_THE_WIRE = _on_the_wire(MODELS)
STREAM_ON_THE_WIRE = (
    b"HTTP/1.1 200 OK\r\n"
    b"Content-Type: text/event-stream\r\n"
    b"Transfer-Encoding: chunked\r\n"
    b"x-request-id: req_benchmark\r\n"
    # nginx then passes each piece on at once.
    b"X-Accel-Buffering: no\r\n"
    b"\r\n%x\r\n%b\r\n" % (len(EVENT), EVENT)
)


def request(case: Case, port: int, fields: Sequence[str] = ()) -> bytes:
    """Return the bytes of one request, as an OpenAI SDK would send them, with the fields that a target needs."""
    # Of equal calls only this field differs, which does not count.
    serial = (f"X-Stainless-Serial: {SERIAL}",) if case.equal else ()
    lines = (
        "POST /v1/chat/completions HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept: application/json",
        "Accept-Encoding: gzip, deflate",
        "User-Agent: OpenAI/Python 2.0.0",
        f"Authorization: Bearer {KEY}",
        "Content-Type: application/json",
        f"Content-Length: {len(case.body)}",
        *fields,
        *serial,
    )
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode() + case.body
