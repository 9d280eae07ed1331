"""/v1/embeddings: the same vector for the same text, in both encodings."""

import base64
import json
import math
import struct
from typing import Any

import pytest

from gateway.demo_upstream.embeddings import embeddings, vector
from gateway.demo_upstream.script import Asked


def ask(**request: Any) -> dict[str, Any]:
    """Return a reply, decoded."""
    body = json.dumps({"model": "m", **request}).encode()
    decoded: dict[str, Any] = json.loads(b"".join(embeddings(Asked(body=body)).pieces))
    return decoded


def test_a_vector_depends_on_the_text_alone() -> None:
    """The numbers are fixed, of length one, and exact as 32-bit floats."""
    assert vector("hello", 3) == vector("hello", 3)
    assert vector("hello", 3) != vector("hallo", 3)
    assert math.isclose(math.hypot(*vector("hello", 100)), 1, rel_tol=1e-6)
    assert struct.unpack("<3f", struct.pack("<3f", *vector("hello", 3))) == tuple(
        vector("hello", 3)
    )


def test_both_encodings_hold_the_same_numbers() -> None:
    """Base64 is the floats, little-endian."""
    (plain,) = ask(input="a b", dimensions=5)["data"]
    (packed,) = ask(input="a b", dimensions=5, encoding_format="base64")["data"]

    assert plain["embedding"] == vector("a b", 5)
    assert list(struct.unpack("<5f", base64.b64decode(packed["embedding"]))) == plain["embedding"]


def test_every_input_is_answered_and_counted() -> None:
    """Texts and lists of tokens alike; usage has no completion."""
    reply = ask(input=[[1, 2], [3]])

    assert [entry["index"] for entry in reply["data"]] == [0, 1]
    assert [len(entry["embedding"]) for entry in reply["data"]] == [8, 8]
    assert reply["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


@pytest.mark.parametrize("members", [{"input": []}, {"input": "a", "dimensions": 0}])
def test_a_request_for_nothing_is_400(members: dict[str, Any]) -> None:
    """No input, or no dimension, is refused."""
    body = json.dumps({"model": "m", **members}).encode()

    assert embeddings(Asked(body=body)).status == 400
