"""The demo upstream's server: reads and notes a request, obeys its script, answers."""

import itertools
import zlib
from collections import Counter
from collections.abc import Callable
from urllib.parse import unquote

import msgspec
from aiohttp import web

from gateway.clock import Clock
from gateway.demo_upstream.chat import chat
from gateway.demo_upstream.journal import Journal, Seen
from gateway.demo_upstream.models import get_model, list_models
from gateway.demo_upstream.reply import Reply, error_reply, invalid_reply
from gateway.demo_upstream.script import HEADER, Failure, Script, read_script
from gateway.demo_upstream.wire import Finished, Wire

# Larger than what any client sends: what is refused is the gateway's to decide.
MAX_HEADER_BYTES = 262_144

_INFLATE_ANY = 47

_RATE_LIMIT_HEADERS = (
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-remaining-tokens", "1999900"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "3ms"),
)

JsonAnswer = Callable[[bytes, Script], Reply]

_JSON_PATHS: dict[str, JsonAnswer] = {
    "/v1/chat/completions": chat,
}


class Service:
    """What the demo upstream answers, and the little that it remembers."""

    def __init__(self, clock: Clock, pace_ms: float) -> None:
        self.journal = Journal()
        self._clock = clock
        self._pace_ms = pace_ms
        self._request_numbers = itertools.count(1)
        # How often a request has been answered with its error, by the digest of its body.
        self._failed: Counter[str] = Counter()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, whatever it is."""
        headers = [(name.decode(), value.decode("latin-1")) for name, value in request.raw_headers]
        seen = self.journal.open(request.method, request.raw_path, headers)
        try:
            return await self._serve(request, seen)
        except ConnectionError:
            return Finished(keep_alive=False)
        finally:
            if seen.phase != "done":
                seen.aborted = seen.phase
            self.journal.close()

    async def _serve(self, request: web.Request, seen: Seen) -> web.StreamResponse:
        script = Script()
        try:
            body = await _read(request, seen)
            seen.phase = "waiting"
            is_json = request.content_type == "application/json"
            script = read_script(request.headers.get(HEADER), body, is_json=is_json)
            failure = self._failure(script, seen)
            reply = self._reply(request, body, script) if failure is None else error_reply(failure)
        except (msgspec.DecodeError, zlib.error) as error:
            reply = invalid_reply(f"The demo upstream cannot read this request: {error}")
        wire = Wire(request, seen, script, self._clock, self._pace_ms)
        return await wire.send(reply, self._headers())

    def _failure(self, script: Script, seen: Seen) -> Failure | None:
        failure = script.failure
        if failure is None or failure.times is None:
            return failure
        if self._failed[seen.sha256] < failure.times:
            self._failed[seen.sha256] += 1
            return failure
        del self._failed[seen.sha256]
        return None

    def _reply(self, request: web.Request, body: bytes, script: Script) -> Reply:
        path = request.raw_path.partition("?")[0]
        answer = _JSON_PATHS.get(path)
        if answer is not None:
            return answer(body, script) if request.method == "POST" else _not_allowed(request)
        if path == "/v1/models" and request.method == "GET":
            return list_models()
        if path.startswith("/v1/models/") and request.method == "GET":
            return get_model(unquote(path.removeprefix("/v1/models/")))
        return _unknown(request)

    def _headers(self) -> tuple[tuple[str, str], ...]:
        return (
            ("server", "demo"),
            ("x-request-id", f"req_demo_{next(self._request_numbers)}"),
            ("openai-organization", "demo"),
            ("openai-processing-ms", "1"),
            ("openai-version", "2020-10-01"),
            *_RATE_LIMIT_HEADERS,
        )


async def _read(request: web.Request, seen: Seen) -> bytes:
    pieces = []
    async for piece in request.content.iter_any():
        seen.take(piece)
        pieces.append(piece)
    body = b"".join(pieces)
    if request.headers.get("content-encoding", "identity") in ("gzip", "deflate"):
        return zlib.decompress(body, wbits=_INFLATE_ANY)
    return body


def _unknown(request: web.Request) -> Reply:
    message = f"Invalid URL ({request.method} {request.path})"
    return error_reply(Failure(status=404, message=message, code="unknown_url"))


def _not_allowed(request: web.Request) -> Reply:
    message = f"Not allowed to {request.method} on {request.path}."
    return error_reply(
        Failure(
            status=405, message=message, type="invalid_request_error", code="method_not_allowed"
        )
    )


async def serve_requests(service: Service, request: web.Request) -> web.Response:
    """Tell, or forget, what was asked so far; with `?settled` once no request is being answered."""
    if "settled" in request.query:
        await service.journal.settled()
    if request.method == "DELETE":
        service.journal.requests.clear()
    described = [seen.describe() for seen in service.journal.requests]
    return web.Response(body=msgspec.json.encode(described), content_type="application/json")


def make_app(service: Service) -> web.Application:
    """Return the server's routes."""

    async def requests(request: web.Request) -> web.Response:
        return await serve_requests(service, request)

    app = web.Application()
    app.router.add_route("GET", "/demo/requests", requests)
    app.router.add_route("DELETE", "/demo/requests", requests)
    app.router.add_route("*", "/{path:.*}", service.serve)
    return app
