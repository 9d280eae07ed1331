"""/v1/embeddings: a vector of length one for each input, always the same for the same text."""

import base64
import hashlib
import math
import struct

import msgspec

from gateway.demo_upstream.reply import Reply, invalid_reply, json_reply
from gateway.demo_upstream.script import Asked
from gateway.demo_upstream.text import Input, given, texts, usage, words

# Small enough to be read in a terminal.
DEFAULT_DIMENSIONS = 8
MAX_DIMENSIONS = 4096
MAX_INPUTS = 2048


class EmbeddingRequest(msgspec.Struct):
    """What is looked at in a request; all else is taken and ignored."""

    model: str
    input: Input
    dimensions: int | None = None
    encoding_format: str | None = None


def embeddings(asked: Asked) -> Reply:
    """Answer a request. Raises msgspec.ValidationError."""
    request = msgspec.json.decode(asked.body, type=EmbeddingRequest)
    inputs = texts(request.input)
    dimensions = given(request.dimensions, DEFAULT_DIMENSIONS)
    if not 1 <= len(inputs) <= MAX_INPUTS:
        return invalid_reply(f"Invalid 'input': expected 1 to {MAX_INPUTS} inputs.")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        return invalid_reply(f"Invalid 'dimensions': expected 1 to {MAX_DIMENSIONS}.")
    encode = _base64 if request.encoding_format == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": encode(vector(text, dimensions))}
        for index, text in enumerate(inputs)
    ]
    reply: dict[str, object] = {"object": "list", "data": data, "model": request.model}
    counted = usage(sum(len(words(text)) for text in inputs), 0, asked.script)
    if counted is not None:
        prompt_tokens = counted["prompt_tokens"]
        reply["usage"] = {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens}
    return json_reply(reply)


def vector(text: str, dimensions: int) -> list[float]:
    """Return the vector of a text, in numbers that a 32-bit float holds exactly."""
    raw = hashlib.shake_256(text.encode(errors="surrogatepass")).digest(2 * dimensions)
    numbers = [number + 0.5 for number in struct.unpack(f"<{dimensions}h", raw)]
    length = math.hypot(*numbers)
    return list(struct.unpack(f"<{dimensions}f", _packed([n / length for n in numbers])))


def _packed(numbers: list[float]) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def _base64(numbers: list[float]) -> str:
    return base64.b64encode(_packed(numbers)).decode()
