"""Azure OpenAI: the deployment stands in the path, the key in `api-key`, the version in the query.

https://learn.microsoft.com/azure/ai-services/openai/reference
"""

from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from gateway.errors import NotFoundError
from gateway.types import Call, Headers, Target, UpstreamRequest
from gateway.upstreams.openai import Base, aliased, merged


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureUpstream:
    """One configured upstream of kind `azure`: a model's name is the name of a deployment."""

    name: str
    base: Base
    api_key: str | None = field(repr=False)
    passthrough: bool
    api_version: str
    headers: Headers = ()

    def request(self, call: Call, target: Target, headers: Headers) -> UpstreamRequest:
        """Return what to send for `call`; `headers` are those of the client that may cross.

        Raises NotFoundError for a model's name that would lead out of the deployments' path.
        """
        body, headers = aliased(call, target, headers)
        key = call.credential if self.passthrough else self.api_key
        own = (*(((b"api-key", key.encode("latin-1")),) if key else ()), *self.headers)
        return UpstreamRequest(
            method=call.method,
            scheme=self.base.scheme,
            host=self.base.host,
            port=self.base.port,
            target=self._target(call, target),
            headers=merged(headers, own),
            body=body,
        )

    def _target(self, call: Call, target: Target) -> str:
        path, _, query = call.target.partition("?")
        if target.model in (".", ".."):
            raise NotFoundError(
                "A deployment's name cannot be a dot segment.",
                code="model_not_found",
                param="model",
            )
        if target.model is not None:
            path = f"/deployments/{quote(target.model, safe='')}{path}"
        kept = [pair for pair in query.split("&") if pair and not _is_version(pair)]
        prefix = (
            self.base.prefix
            if self.base.prefix.endswith("/openai")
            else f"{self.base.prefix}/openai"
        )
        return f"{prefix}{path}?{'&'.join([*kept, f'api-version={quote(self.api_version)}'])}"


def _is_version(pair: str) -> bool:
    return unquote(pair.partition("=")[0]).lower() == "api-version"
