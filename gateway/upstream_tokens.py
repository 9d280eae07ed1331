"""Asking an engine how many tokens a prompt has, where the configuration says that it knows best.

vLLM counts a chat at /tokenize; llama.cpp writes it out at /apply-template and counts that at /tokenize. Both stand
beside the API, not below /v1. What does not answer in time, or not with a number, leaves the count to the gateway.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from gateway.clock import Clock
from gateway.errors import UpstreamError, UpstreamProtocolError
from gateway.relay import Peer
from gateway.types import Call, Target

# An engine that takes longer costs the call more than a guess is worth.
TIMEOUT_SECONDS = 2.0
MAX_REPLY_BYTES = 16 * 1024 * 1024

log = logging.getLogger(__name__)


class _Reply(msgspec.Struct):
    # vLLM's; llama.cpp's tokens and prompt.
    count: int | None = None
    tokens: list[object] | None = None
    prompt: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamTokens:
    """Asks the engines."""

    peers: Mapping[str, Peer]
    clock: Clock

    async def count(
        self, payload: Mapping[str, object], target: Target
    ) -> tuple[int | None, float]:
        """Return the tokens of a chat or completion as `target` counts them, None where it does not say.

        With it come the seconds that this took.
        """
        began = self.clock.monotonic()
        try:
            found = await self._asked(payload, target)
        except (UpstreamError, ValueError) as error:
            log.warning(
                "upstream %s: no count of tokens: %s", target.upstream, type(error).__name__
            )
            found = None
        return found, self.clock.monotonic() - began

    async def _asked(self, payload: Mapping[str, object], target: Target) -> int | None:
        named = {"model": target.model}
        if "messages" not in payload:
            reply = await self._post(
                "/tokenize", {**named, "prompt": payload.get("prompt")}, target
            )
            return None if reply is None else reply.count
        chat = {"messages": payload["messages"]}
        if payload.get("tools"):
            chat["tools"] = payload["tools"]
        reply = await self._post("/tokenize", {**named, **chat}, target)
        if reply is not None and reply.count is not None:
            return reply.count
        written = await self._post("/apply-template", chat, target)
        if written is None or written.prompt is None:
            return None
        reply = await self._post(
            "/tokenize", {"content": written.prompt, "add_special": True}, target
        )
        return None if reply is None or reply.tokens is None else len(reply.tokens)

    async def _post(self, path: str, body: object, target: Target) -> _Reply | None:
        """Return what an engine answers, None where it refuses."""
        peer = self.peers[target.upstream]
        call = Call(
            endpoint=path,
            method="POST",
            target=path,
            headers=(),
            body=json.dumps(body).encode(),
            model=target.model,
        )
        request = peer.upstream.request(call, target, ((b"Content-Type", b"application/json"),))
        request = replace(request, target=request.target.replace("/v1" + path, path))
        got = bytearray()

        def take(data: bytes) -> None:
            got.extend(data)
            if len(got) > MAX_REPLY_BYTES:
                raise UpstreamProtocolError("a count without end")

        reply = await peer.transport.open(request, first_byte_seconds=TIMEOUT_SECONDS)
        await reply.copy(take)
        return msgspec.json.decode(bytes(got), type=_Reply) if reply.status == 200 else None
