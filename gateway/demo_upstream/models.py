"""/v1/models: what the demo upstream lists. It answers for any other name too."""

from gateway.demo_upstream.reply import CREATED, Reply, error_reply, json_reply
from gateway.demo_upstream.script import Asked, Failure

MODELS = (
    "demo",
    "gpt-4o",
    "gpt-4o-mini",
    "text-embedding-3-small",
    "whisper-1",
    "tts-1",
    "gpt-image-1",
    "omni-moderation-latest",
)


def _model(name: str) -> dict[str, object]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "demo"}


def list_models(asked: Asked) -> Reply:  # noqa: ARG001 - all answers are called alike
    """Return the list."""
    return json_reply({"object": "list", "data": [_model(name) for name in MODELS]})


def get_model(asked: Asked) -> Reply:
    """Return one model, or 404."""
    if asked.id in MODELS:
        return json_reply(_model(asked.id))
    return error_reply(Failure(status=404, message=f"The model '{asked.id}' does not exist"))
