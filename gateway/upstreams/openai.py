"""Any server that speaks OpenAI's API: OpenAI itself, vLLM, Ollama, llama.cpp, LM Studio, OpenRouter and their like."""

import json
from dataclasses import dataclass, field

from gateway.splice import replace_member
from gateway.types import Call, Headers, Target, Upload, UpstreamRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Where an upstream is: a base URL taken apart once."""

    scheme: str
    host: str
    port: int
    # The path before the API's own, without a slash at its end: "/v1".
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIUpstream:
    """One configured upstream of kind `openai`."""

    name: str
    base: Base
    # None: the client's own key goes up (passthrough), or none at all.
    api_key: str | None = field(repr=False)
    passthrough: bool
    # Set on every request, instead of the client's of the same name.
    headers: Headers = ()
    # What is set on every request, the key with it; empty where the client's own goes up.
    _own: Headers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        own = self.headers
        if self.api_key is not None:
            own = (_bearer(self.api_key), *own)
        object.__setattr__(self, "_own", own)

    def request(self, call: Call, target: Target, headers: Headers) -> UpstreamRequest:
        """Return what to send for `call`; `headers` are those of the client that may cross."""
        body, headers = aliased(call, target, headers)
        return UpstreamRequest(
            method=call.method,
            scheme=self.base.scheme,
            host=self.base.host,
            port=self.base.port,
            target=self.base.prefix + call.target,
            headers=merged(headers, self._own_headers(call)),
            body=body,
        )

    def _own_headers(self, call: Call) -> Headers:
        if not self.passthrough:
            return self._own
        if call.credential is None:
            return self.headers
        return (_bearer(call.credential), *self.headers)


def _bearer(key: str) -> tuple[bytes, bytes]:
    return b"Authorization", b"Bearer " + key.encode("latin-1")


def aliased(call: Call, target: Target, headers: Headers) -> tuple[bytes | Upload, Headers]:
    """Return the body with the model's name at `target` in it, and the headers that describe it.

    Only the value of `model` is replaced; a compressed body that must be changed goes up inflated.
    """
    if target.model is None or target.model == call.model or isinstance(call.body, Upload):
        return call.body, headers
    plain = call.body if call.plain is None else call.plain
    body = replace_member(plain, "model", json.dumps(target.model).encode())
    if call.plain is not None:
        headers = tuple(field for field in headers if field[0].lower() != b"content-encoding")
    return body, headers


def merged(headers: Headers, own: Headers) -> Headers:
    """Return `headers` with `own` in place of those of the same name."""
    if len(own) == 1 and own[0][0] == b"Authorization":
        # A credential of the client's never crosses: there is nothing to replace.
        return (*headers, *own)
    names = {name.lower() for name, _ in own}
    return (*(field for field in headers if field[0].lower() not in names), *own)
