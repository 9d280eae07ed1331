"""Chat completions and completions, whole and as streams."""
# ruff: noqa: RUF001 - texts in many scripts look alike here and there.

import random
from collections.abc import Iterator

from gateway.types import Usage
from tests.corpus.reply import SSE, Reply, dumps, sse

Json = dict[str, object]

TEXTS = (
    "The quick brown fox jumps over the lazy dog.",
    "Grüße aus Köln: „Füße“ – naïve café, 100 €.",
    "日本語の文章と中文混合，以及한국어 텍스트。",
    "👩‍👩‍👧‍👦 🇩🇪 👍🏽 zwölf 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 \u202eabc\u202c",
    'Code: ```py\nprint("a\\n\\tb")\n``` </script> \u2028 {"data": [1, 2]}',
    "data: [DONE]\n\nevent: ping\nid: 7\n: no comment",
    "مرحبا بالعالم · नमस्ते दुनिया · שלום",
    "",
)
REPORTED: Json = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 2},
    "completion_tokens_details": {
        "reasoning_tokens": 3,
        "audio_tokens": 1,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
USAGE = Usage(
    input_tokens=19,
    cached_input_tokens=4,
    audio_input_tokens=2,
    output_tokens=10,
    reasoning_tokens=3,
    audio_output_tokens=1,
)
MODELS = ("gpt-4o-mini-2024-07-18", "llama3.2", "meta-llama/Llama-3.1-8B-Instruct", "o4-mini")
TOOL = {"name": "get_weather", "arguments": '{"city":"Zürich","unit":"celsius"}'}


def head(rng: random.Random, kind: str) -> Json:
    """Return what each JSON text of a reply begins with."""
    return {
        "id": f"chatcmpl-{rng.getrandbits(96):024x}",
        "object": kind,
        "created": 1_741_569_952 + rng.randrange(10_000_000),
        "model": rng.choice(MODELS),
    }


def logprobs(text: str) -> Json:
    """Return log probabilities for a text, a token each character."""
    rows = [
        {"token": c, "logprob": -0.25, "bytes": list(c.encode()), "top_logprobs": []} for c in text
    ]
    return {"content": rows, "refusal": None}


def message(text: str, shape: str) -> Json:
    """Return an assistant's message in one of the shapes that engines write."""
    if shape == "tools":
        calls = [{"id": f"call_{i}", "type": "function", "function": TOOL} for i in range(2)]
        return {"role": "assistant", "content": None, "tool_calls": calls, "refusal": None}
    if shape == "function":
        return {"role": "assistant", "content": None, "function_call": TOOL}
    if shape == "refusal":
        return {"role": "assistant", "content": None, "refusal": text}
    if shape == "reasoning":
        return {"role": "assistant", "content": text, "reasoning_content": "Let me think. " + text}
    if shape == "parts":
        return {"role": "assistant", "content": [{"type": "text", "text": text}]}
    return {"role": "assistant", "content": text, "refusal": None, "annotations": []}


def whole(rng: random.Random) -> Iterator[Reply]:
    """Yield chat completions that come in one piece."""
    shapes = ("plain", "tools", "function", "refusal", "reasoning", "parts", "logprobs", "azure")
    for number, text in enumerate(TEXTS):
        for style, shape in enumerate(shapes[number % 2 :: 2]):
            n = 1 + (number + style) % 3
            choices: list[Json] = [
                {
                    "index": i,
                    "message": message(text, shape),
                    "logprobs": logprobs(text) if shape == "logprobs" else None,
                    "finish_reason": "tool_calls" if shape == "tools" else "stop",
                }
                for i in range(n)
            ]
            reply = {**head(rng, "chat.completion"), "choices": choices, "usage": REPORTED}
            if shape == "azure":
                reply["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": {}}]
            yield Reply(
                name=f"chat-{shape}-{number}",
                body=dumps(reply, style),
                usage=USAGE,
                choices=n,
            )


def parts_of(text: str, rng: random.Random) -> list[str]:
    """Cut a text into deltas of one to five characters."""
    parts = []
    while text:
        size = rng.randint(1, 5)
        parts.append(text[:size])
        text = text[size:]
    return parts


def deltas(text: str, shape: str, rng: random.Random) -> Iterator[Json]:
    """Yield the deltas of one choice, its finish_reason apart."""
    yield {"role": "assistant", "content": "" if shape != "tools" else None}
    if shape == "tools":
        for index in range(2):
            start = {"name": TOOL["name"], "arguments": ""}
            yield {
                "tool_calls": [
                    {"index": index, "id": f"call_{index}", "type": "function", "function": start}
                ]
            }
            for part in parts_of(TOOL["arguments"], rng):
                yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}
        return
    if shape == "reasoning":
        for part in parts_of("Hmm. " + text, rng):
            yield {"reasoning": part, "reasoning_content": part}
    for part in parts_of(text, rng):
        yield {"refusal": part} if shape == "refusal" else {"content": part}


def chunks(rng: random.Random, text: str, shape: str, n: int, usage: str) -> Iterator[Json]:
    """Yield a stream's chunks; `usage`: how it is reported."""
    same = head(rng, "chat.completion.chunk")
    nothing: Json = {"usage": None} if usage == "last" else {}
    for index in range(n):
        for delta in deltas(text, shape, rng):
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
            running = {"usage": {**REPORTED, "completion_tokens": 1, "total_tokens": 20}}
            yield {**same, "choices": [choice], **(running if usage == "every" else nothing)}
    for index in range(n):
        choice = {"index": index, "delta": {}, "finish_reason": "stop"}
        final: Json = dict(nothing)
        if index == n - 1 and usage in ("finish", "every"):
            final = {"usage": REPORTED}
        elif index == n - 1 and usage == "groq":
            final = {"x_groq": {"id": "req_1", "usage": REPORTED}}
        yield {**same, "choices": [choice], **final}
    if usage == "last":
        yield {**same, "choices": [], "usage": REPORTED}


def streams(rng: random.Random) -> Iterator[Reply]:
    """Yield chat completions that come as events, with every habit of their writers."""
    shapes = ("plain", "tools", "refusal", "reasoning")
    ways = ("none", "last", "finish", "every", "groq")
    newlines = (b"\n", b"\r\n", b"\r")
    for number in range(60):
        shape, way, newline = shapes[number % 4], ways[number % 5], newlines[number % 3]
        n = 1 + number % 7 // 3
        style = number % 4
        events = [dumps(chunk, style) for chunk in chunks(rng, TEXTS[number % 8], shape, n, way)]
        events = decorated(events, number // 4 % 8)
        done = number % 6 != 5
        if done:
            events.append(b"data: [DONE]")
        body = sse(events, newline=newline, lead=b"data:" if number % 5 == 1 else b"data: ")
        if number % 10 == 4:
            # Without the blank line that should end it.
            body = body.removesuffix(newline * 2)
        yield Reply(
            name=f"chat-stream-{shape}-{way}-{number}",
            body=body,
            content_type=SSE,
            usage=None if way == "none" else USAGE,
            complete=done or number % 10 != 4,
            choices=n,
        )


def decorated(events: list[bytes], how: int) -> list[bytes]:
    """Add what a stream may hold beside its data."""
    if how == 1:
        return [b": OPENROUTER PROCESSING", b": OPENROUTER PROCESSING", *events]
    if how == 2:
        return [part for event in events for part in (event, b":")]
    if how == 3:
        return [
            b"id: %d\nevent: message\ndata: %b" % (i, one_line(e)) for i, e in enumerate(events)
        ]
    if how == 4:
        return [b"retry: 3000", *events]
    if how == 5:
        return [b"\xef\xbb\xbfdata: " + one_line(events[0]), *events[1:]]
    if how == 6:
        return [b"", b"\n", *events]
    return events


def one_line(event: bytes) -> bytes:
    """Return JSON without the line ends between its parts."""
    return event.replace(b"\n", b" ")


def completions(rng: random.Random) -> Iterator[Reply]:
    """Yield completions of the older API, whole and as streams."""
    for number, text in enumerate(TEXTS):
        same = head(rng, "text_completion")
        choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": "length"}
        yield Reply(
            name=f"completion-{number}",
            body=dumps({**same, "choices": [choice], "usage": REPORTED}, number % 4),
            usage=USAGE,
        )
        events = [
            dumps({**same, "choices": [{"text": part, "index": 0, "finish_reason": None}]})
            for part in parts_of(text, rng)
        ]
        last = {**choice, "text": ""}
        events.append(dumps({**same, "choices": [last], "usage": REPORTED}))
        yield Reply(
            name=f"completion-stream-{number}",
            body=sse([*events, b"data: [DONE]"]),
            content_type=SSE,
            usage=USAGE,
        )
