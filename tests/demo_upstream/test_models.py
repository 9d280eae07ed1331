"""/v1/models: a list, its members, and 404 for others."""

import json

from gateway.demo_upstream.models import MODELS, get_model, list_models
from gateway.demo_upstream.script import Asked


def test_models_are_listed() -> None:
    """Every name is there in OpenAI's shape."""
    listed = json.loads(b"".join(list_models(Asked()).pieces))

    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == list(MODELS)


def test_a_model_is_told_by_name() -> None:
    """A listed model is described."""
    assert b"".join(get_model(Asked(id="demo")).pieces) == (
        b'{"id":"demo","object":"model","created":1760000000,"owned_by":"demo"}'
    )


def test_an_unknown_model_is_not_found() -> None:
    """Another name is 404 in OpenAI's words."""
    reply = get_model(Asked(id="nope"))

    assert reply.status == 404
    assert b"The model 'nope' does not exist" in b"".join(reply.pieces)
