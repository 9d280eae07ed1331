"""How Azure is asked."""

import pytest

from gateway.errors import NotFoundError
from gateway.types import Call, Target
from gateway.upstreams.azure import AzureUpstream
from gateway.upstreams.openai import Base


def asked(prefix: str, target: str, model: str | None, **more: object) -> tuple[str, object]:
    settings: dict[str, object] = {"api_key": "our-key", "passthrough": False} | more
    upstream = AzureUpstream(
        name="azure",
        base=Base(scheme="https", host="x.openai.azure.com", port=443, prefix=prefix),
        api_version="2024-10-21",
        **settings,  # type: ignore[arg-type]
    )
    call = Call(
        endpoint="/v1/chat/completions",
        method="POST",
        target=target,
        headers=(),
        body=b'{"model":"gpt"}',
        model="gpt",
        credential="client-key",
    )
    request = upstream.request(call, Target(upstream="azure", model=model), ())
    return request.target, request.headers


@pytest.mark.parametrize(
    ("prefix", "target", "model", "expected"),
    [
        (
            "",
            "/chat/completions",
            "gpt",
            "/openai/deployments/gpt/chat/completions?api-version=2024-10-21",
        ),
        (
            "/openai",
            "/embeddings?x=1",
            "a b/c",
            "/openai/deployments/a%20b%2Fc/embeddings?x=1&api-version=2024-10-21",
        ),
        ("", "/models?api-version=evil", None, "/openai/models?api-version=2024-10-21"),
        ("", "/models?Api%2dVersion=evil", None, "/openai/models?api-version=2024-10-21"),
    ],
)
def test_the_path_names_the_deployment(
    prefix: str, target: str, model: str | None, expected: str
) -> None:
    """Deployment and version are the configuration's, whatever the client wrote."""
    assert asked(prefix, target, model)[0] == expected


@pytest.mark.parametrize("model", [".", ".."])
def test_no_model_leads_out_of_the_deployments(model: str) -> None:
    """A dot segment would be resolved on the way, percent-encoded or not: there is no such model."""
    with pytest.raises(NotFoundError):
        asked("", "/chat/completions", model)


def test_the_key_stands_in_its_own_field() -> None:
    """Azure takes `api-key`, ours or in passthrough the client's."""
    assert asked("", "/x", "gpt")[1] == ((b"api-key", b"our-key"),)
    through = asked("", "/x", "gpt", passthrough=True, api_key=None)
    assert through[1] == ((b"api-key", b"client-key"),)
