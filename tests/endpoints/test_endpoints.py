"""Which path means what."""

import pytest

from gateway.endpoints import OTHER, find
from gateway.errors import InvalidRequestError, NotFoundError

BASE = "http://127.0.0.1:4000/v1"


@pytest.mark.parametrize(
    ("path", "label", "body", "kind"),
    [
        ("/v1/chat/completions", "/v1/chat/completions", "json", "chat"),
        ("/v1/completions", "/v1/completions", "json", "completions"),
        ("/v1/embeddings", "/v1/embeddings", "json", "embeddings"),
        ("/v1/responses", "/v1/responses", "json", "responses"),
        ("/v1/models", "/v1/models", "none", None),
        ("/v1/models/org/name:free", "/v1/models/{rest}", "none", None),
        ("/v1/models/org%2Fname", "/v1/models/{rest}", "none", None),
        ("/v1/audio/transcriptions", "/v1/audio/{rest}", "stream", None),
        ("/v1/audio/speech", "/v1/audio/speech", "json", None),
        ("/v1/responses/resp_1/cancel", "/v1/responses/{rest}", "stream", None),
        ("/v1/files/file-1/content", "/v1/{rest}", "stream", None),
        ("/v1/chat/completions/chatcmpl-1", "/v1/{rest}", "stream", None),
    ],
)
def test_paths(path: str, label: str, body: str, kind: str | None) -> None:
    """Each path finds its row, and what stands in none is `other`."""
    endpoint = find(path, BASE)

    assert (endpoint.path, endpoint.body, endpoint.kind) == (label, body, kind)


def test_only_the_others_need_to_be_listed() -> None:
    """What could show one user another's data is not shareable."""
    assert not find("/v1/files", BASE).shareable
    assert find("/v1/files", BASE) is OTHER
    assert find("/v1/moderations", BASE).shareable


@pytest.mark.parametrize(
    "path",
    [
        "/v1/files/../chat/completions",
        "/v1/files/%2e%2E/chat/completions",
        "/v1/./chat/completions",
        "/v1//chat/completions",
        "/v1/chat%2Fcompletions",
        "/v1/%63hat/completions",
        "/v1/files\\x",
        "/v1/files%5c..%5cx",
        "/v1/files/%00",
        "/v1/files;a=b",
    ],
)
def test_paths_that_two_servers_read_in_two_ways_are_refused(path: str) -> None:
    """A path trick is 400 and reaches no upstream."""
    with pytest.raises(InvalidRequestError) as refused:
        find(path, BASE)

    assert (refused.value.status, refused.value.code) == (400, "invalid_path")


def test_a_forgotten_v1_gets_a_hint() -> None:
    """The commonest mistake is named."""
    with pytest.raises(NotFoundError) as refused:
        find("/chat/completions", BASE)

    assert refused.value.code == "unknown_url"
    assert refused.value.message == (
        "Unknown request URL: /chat/completions. Did you mean /v1/chat/completions?"
        " Set base_url to http://127.0.0.1:4000/v1."
    )


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/metrics", "/V1/models", "/v1/models/", "*"])
def test_other_paths_do_not_exist(path: str) -> None:
    """Exactly the documented routes exist."""
    with pytest.raises(NotFoundError):
        find(path, BASE)
