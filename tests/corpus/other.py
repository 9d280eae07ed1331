"""Everything beside chat: embeddings, the Responses API, sound, images, errors, odd statuses, large events."""

import base64
import random
import struct
from collections.abc import Iterator

from gateway.types import Usage
from tests.corpus.chat import REPORTED, TEXTS, USAGE, Json, chunks, head, parts_of
from tests.corpus.reply import SSE, Reply, dumps, sse

RESPONSE_USAGE: Json = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 8},
    "output_tokens": 87,
    "output_tokens_details": {"reasoning_tokens": 64},
    "total_tokens": 123,
}
RESPONSE_TOKENS = Usage(
    input_tokens=36, cached_input_tokens=8, output_tokens=87, reasoning_tokens=64
)


def embeddings(rng: random.Random) -> Iterator[Reply]:
    """Yield embeddings as numbers and as base64; long ones are not known to be whole."""
    usage = Usage(input_tokens=8)
    for number, (rows, size) in enumerate([(1, 8), (1, 1536), (3, 256), (16, 1536), (64, 1024)]):
        for coding in ("float", "base64"):
            data = []
            for index in range(rows):
                vector = [rng.uniform(-0.1, 0.1) for _ in range(size)]
                packed = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
                value: object = packed if coding == "base64" else [round(v, 9) for v in vector]
                data.append({"object": "embedding", "index": index, "embedding": value})
            reported = {"usage": {"prompt_tokens": 8, "total_tokens": 8}}
            # llama.cpp reports its usage first.
            first, last = (reported, {}) if number % 2 else ({}, reported)
            reply = {"object": "list", "model": "e", **first, "data": data, **last}
            body = dumps(reply, number % 4)
            yield Reply(
                name=f"embeddings-{coding}-{rows}x{size}",
                body=body,
                usage=usage,
                complete=len(body) <= 65_536,
            )


def response(rng: random.Random, text: str, status: str, padding: int) -> Json:
    """Return an object of the Responses API."""
    part = {"type": "output_text", "text": text, "annotations": []}
    item = {"id": "msg_1", "type": "message", "role": "assistant", "content": [part]}
    schema = {"type": "object", "properties": {"usage": {"type": "object", "default": {"x": 1}}}}
    return {
        "id": f"resp_{rng.getrandbits(96):024x}",
        "object": "response",
        "status": status,
        "error": None,
        "instructions": "i" * padding,
        "output": [item],
        "tools": [{"type": "function", "name": "f", "parameters": schema}],
        "usage": RESPONSE_USAGE if status in ("completed", "incomplete") else None,
        "user": None,
        "metadata": {"key": "usage"},
    }


def responses(rng: random.Random) -> Iterator[Reply]:
    """Yield replies of the Responses API, whole and as streams whose last event may be long."""
    for number, text in enumerate(TEXTS):
        padding = (0, 3_000, 30_000, 90_000)[number % 4]
        whole = dumps(response(rng, text, "completed", padding), number % 2)
        yield Reply(
            name=f"response-{number}",
            body=whole,
            usage=RESPONSE_TOKENS,
            complete=len(whole) <= 65_536,
        )
        status = ("completed", "incomplete", "failed")[number % 3]
        events: list[Json] = [
            {"type": "response.created", "response": response(rng, "", "in_progress", padding)},
            {"type": "response.output_item.added", "output_index": 0, "item": {}},
        ]
        events += [
            {"type": "response.output_text.delta", "item_id": "msg_1", "delta": part}
            for part in parts_of(text, rng)
        ]
        ended = response(rng, text, status, padding)
        events.append({"type": f"response.{status}", "response": ended})
        newline = b"\r\n" if number % 2 else b"\n"
        lines = [
            b"event: %b\ndata: %b" % (str(event["type"]).encode(), dumps(event)) for event in events
        ]
        yield Reply(
            name=f"response-stream-{status}-{number}",
            body=sse(lines).replace(b"\n", newline),
            content_type=SSE,
            usage=None if status == "failed" else RESPONSE_TOKENS,
        )


def media(rng: random.Random) -> Iterator[Reply]:
    """Yield sound, transcripts and images."""
    for number, kind in enumerate((b"audio/mpeg", b"audio/wav", b"audio/ogg", b"audio/pcm")):
        body = rng.randbytes(20_000 * (number + 1))
        yield Reply(name=f"speech-{number}", body=body, content_type=kind)
    for name, text in (
        ("text", TEXTS[2]),
        ("srt", "1\n00:00:00,000 --> 00:00:02,000\n" + TEXTS[1]),
    ):
        yield Reply(name=f"transcript-{name}", body=text.encode(), content_type=b"text/plain")
    reported = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        "output_tokens": 45,
        "total_tokens": 59,
    }
    usage = Usage(input_tokens=14, audio_input_tokens=14, output_tokens=45)
    yield Reply(
        name="transcript-json", body=dumps({"text": TEXTS[1], "usage": reported}), usage=usage
    )
    by_seconds = {"text": "a", "usage": {"type": "duration", "seconds": 7}}
    yield Reply(name="transcript-seconds", body=dumps(by_seconds))
    events: list[Json] = [
        {"type": "transcript.text.delta", "delta": p} for p in parts_of(TEXTS[3], rng)
    ]
    events.append({"type": "transcript.text.done", "text": TEXTS[3], "usage": reported})
    yield Reply(
        name="transcript-stream", body=sse(map(dumps, events)), content_type=SSE, usage=usage
    )
    image = base64.b64encode(rng.randbytes(1_200_000)).decode()
    reply: Json = {"created": 1, "data": [{"b64_json": image}], "usage": RESPONSE_USAGE}
    yield Reply(name="image", body=dumps(reply), usage=RESPONSE_TOKENS, complete=False)
    event = {"type": "image_generation.completed", "b64_json": image, "usage": RESPONSE_USAGE}
    line = b"event: image_generation.completed\ndata: " + dumps(event)
    yield Reply(name="image-stream", body=sse([line]), content_type=SSE, usage=RESPONSE_TOKENS)
    yield Reply(name="moderation", body=dumps({"id": "modr-1", "results": [{"flagged": False}]}))
    yield Reply(name="models", body=dumps({"object": "list", "data": [{"id": "m"}]}, 3))


def errors() -> Iterator[Reply]:
    """Yield errors in the forms that providers and the proxies before them have."""
    statuses = (400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 520, 529, 599)
    for number, status in enumerate(statuses):
        error: object = {"message": TEXTS[number % 8], "type": "t", "param": None, "code": "c"}
        bodies = (
            {"error": error},
            {"error": "model not found"},
            {"object": "error", "message": "m", "type": "BadRequestError", "code": status},
            {"detail": [{"loc": ["body"], "msg": "field required"}]},
        )
        yield Reply(
            name=f"error-{status}", body=dumps(bodies[number % 4], number % 3), status=status
        )
    page = b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n</html>\r\n"
    yield Reply(name="error-html", body=page, content_type=b"text/html", status=502)
    yield Reply(name="error-text", body=b"upstream connect error", content_type=None, status=503)
    yield Reply(name="error-not-json", body=b"{oops", status=500, complete=False)
    line = dumps({"error": {"message": "overloaded", "type": "server_error", "code": None}})
    body = sse([dumps({"choices": [{"index": 0, "delta": {"content": "a"}}]}), line])
    yield Reply(name="error-in-stream", body=body, content_type=SSE, complete=False)


def odd() -> Iterator[Reply]:
    """Yield bodies that are empty, and statuses that are rare."""
    for status in (200, 201, 202, 205, 207, 299, 418, 451, 499):
        yield Reply(name=f"empty-{status}", body=b"", content_type=None, status=status)
        body = dumps({"id": status})
        yield Reply(
            name=f"status-{status}",
            body=body,
            content_type=b"application/problem+json",
            status=status,
        )
    yield Reply(name="empty-json", body=b"", complete=False)
    yield Reply(name="empty-stream", body=b"", content_type=SSE, complete=False)
    yield Reply(name="blank-stream", body=b"\n\n\n", content_type=SSE, complete=False)
    yield Reply(name="number", body=b"12")
    yield Reply(
        name="nan",
        body=b'{"logprob": NaN, "usage": {"prompt_tokens": 3}}',
        usage=Usage(input_tokens=3),
    )
    yield Reply(name="not-utf-8", body=b'{"a": "\xff\xfe"}')
    yield Reply(name="nul", body=b"\x00\r\n\x00", content_type=b"application/octet-stream")


def large(rng: random.Random) -> Iterator[Reply]:
    """Yield streams with events of more than a megabyte, and one of very many."""
    for number, newline in enumerate((b"\n", b"\r\n")):
        same = head(rng, "chat.completion.chunk")
        text = "".join(rng.choices(TEXTS, k=30_000)) if number else "a" * 1_100_000
        first = {**same, "choices": [{"index": 0, "delta": {"content": text}}]}
        last: Json = {**same, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        end = [dumps({**same, "choices": [], "usage": REPORTED}), b"data: [DONE]"]
        yield Reply(
            name=f"large-event-{number}",
            body=sse([dumps(first), dumps(last), *end], newline=newline),
            content_type=SSE,
            usage=USAGE,
        )
    events = list(map(dumps, chunks(rng, TEXTS[0] * 40, "plain", 1, "last")))
    yield Reply(
        name="long-stream", body=sse([*events, b"data: [DONE]"]), content_type=SSE, usage=USAGE
    )
