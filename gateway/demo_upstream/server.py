"""The demo upstream's server: reads and notes a request, obeys its script, answers."""

import functools
import itertools
import zlib
from collections import Counter
from collections.abc import Callable

import msgspec
from aiohttp import web

from gateway.clock import Clock
from gateway.demo_upstream.chat import chat
from gateway.demo_upstream.completions import completion
from gateway.demo_upstream.embeddings import embeddings
from gateway.demo_upstream.files import Files
from gateway.demo_upstream.forms import Form, FormError
from gateway.demo_upstream.journal import Journal, Seen
from gateway.demo_upstream.media import images, moderation, speech, transcription
from gateway.demo_upstream.models import get_model, list_models
from gateway.demo_upstream.reply import Reply, error_reply, invalid_reply
from gateway.demo_upstream.responses import responses
from gateway.demo_upstream.script import HEADER, Asked, Failure, Script, read_script
from gateway.demo_upstream.wire import Finished, Wire

# Larger than what any client sends: what is refused is the gateway's to decide.
MAX_HEADER_BYTES = 262_144

_INFLATE_GZIP_OR_ZLIB = 47

_RATE_LIMIT_HEADERS = (
    ("x-ratelimit-limit-requests", "10000"),
    ("x-ratelimit-limit-tokens", "2000000"),
    ("x-ratelimit-remaining-requests", "9999"),
    ("x-ratelimit-remaining-tokens", "1999900"),
    ("x-ratelimit-reset-requests", "6ms"),
    ("x-ratelimit-reset-tokens", "3ms"),
)

Answer = Callable[[Asked], Reply]


class Service:
    """What the demo upstream answers, and the little that it remembers."""

    def __init__(self, clock: Clock, pace_ms: float) -> None:
        self.journal = Journal()
        self.files = Files()
        self._clock = clock
        self._pace_ms = pace_ms
        self._request_numbers = itertools.count(1)
        # How often a request has been answered with its error, by the digest of its body.
        self._failed: Counter[str] = Counter()

    async def serve(self, answer: Answer | None, request: web.Request) -> web.StreamResponse:
        """Answer one request; without an `answer` its path is unknown."""
        headers = [(name.decode(), value.decode("latin-1")) for name, value in request.raw_headers]
        seen = self.journal.open(request.method, request.raw_path, headers)
        try:
            return await self._serve(answer, request, seen)
        except ConnectionError:
            return Finished(keep_alive=False)
        finally:
            if seen.phase != "done":
                seen.aborted = seen.phase
            self.journal.close()

    async def _serve(
        self, answer: Answer | None, request: web.Request, seen: Seen
    ) -> web.StreamResponse:
        script = Script()
        try:
            asked = await _read(request, seen)
            script = asked.script
            failure = self._failure(script, seen)
            if failure is not None:
                reply = error_reply(failure)
            else:
                reply = _unknown(request) if answer is None else answer(asked)
        except (msgspec.DecodeError, FormError, zlib.error) as error:
            reply = invalid_reply(f"The demo upstream cannot read this request: {error}")
        seen.phase = "waiting"
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

    def _headers(self) -> tuple[tuple[str, str], ...]:
        return (
            ("server", "demo"),
            ("x-request-id", f"req_demo_{next(self._request_numbers)}"),
            ("openai-organization", "demo"),
            ("openai-processing-ms", "1"),
            ("openai-version", "2020-10-01"),
            *_RATE_LIMIT_HEADERS,
        )


async def _read(request: web.Request, seen: Seen) -> Asked:
    """Take the body as it comes; of a form only what is small is kept."""
    header = request.headers.get(HEADER)
    kind = request.content_type
    form = None
    if kind == "multipart/form-data":
        form = Form(request.headers["content-type"])
    pieces = []
    async for piece in request.content.iter_any():
        seen.take(piece)
        if form is None:
            pieces.append(piece)
        else:
            form.feed(piece)
    if form is not None and not form.whole:
        raise FormError("the form has no end")
    body = b"".join(pieces)
    if request.headers.get("content-encoding", "identity") != "identity":
        body = zlib.decompress(body, wbits=_INFLATE_GZIP_OR_ZLIB)
    script = read_script(header, body, is_json=kind == "application/json")
    return Asked(body=body, form=form, id=request.match_info.get("id", ""), script=script)


def _unknown(request: web.Request) -> Reply:
    message = f"Invalid URL ({request.method} {request.path})"
    return error_reply(Failure(status=404, message=message, code="unknown_url"))


def make_app(service: Service) -> web.Application:
    """Return the server's routes."""
    files = service.files
    routes: list[tuple[str, str, Answer]] = [
        ("POST", "/v1/chat/completions", chat),
        ("POST", "/v1/completions", completion),
        ("POST", "/v1/responses", responses),
        ("POST", "/v1/embeddings", embeddings),
        ("GET", "/v1/models", list_models),
        ("GET", "/v1/models/{id:.+}", get_model),
        ("POST", "/v1/audio/transcriptions", transcription),
        ("POST", "/v1/audio/translations", transcription),
        ("POST", "/v1/audio/speech", speech),
        ("POST", "/v1/images/generations", images),
        ("POST", "/v1/moderations", moderation),
        ("GET", "/v1/files", files.list),
        ("POST", "/v1/files", files.upload),
        ("GET", "/v1/files/{id}", files.get),
        ("DELETE", "/v1/files/{id}", files.delete),
        ("GET", "/v1/files/{id}/content", files.content),
    ]
    app = web.Application()
    requests = functools.partial(_requests, service.journal)
    for method in ("GET", "DELETE"):
        app.router.add_route(method, "/demo/requests", requests)
    for method, path, answer in routes:
        app.router.add_route(method, path, functools.partial(service.serve, answer))
    app.router.add_route("*", "/{path:.*}", functools.partial(service.serve, None))
    return app


async def _requests(journal: Journal, request: web.Request) -> web.Response:
    """Tell what was asked so far, with `?settled` once nothing is in flight; DELETE forgets it."""
    if "settled" in request.query:
        await journal.settled()
    described = [seen.describe() for seen in journal.requests]
    if request.method == "DELETE":
        journal.requests.clear()
    return web.Response(body=msgspec.json.encode(described), content_type="application/json")
