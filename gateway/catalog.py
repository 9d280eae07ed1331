"""What each upstream lists of models, kept fresh; and the answer to "which models may I use?"."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import msgspec

from gateway.auth import may_use
from gateway.clock import Clock
from gateway.errors import UpstreamError
from gateway.relay import Peer
from gateway.types import Call, Target, User

# How old a list may get before it is asked for again, and how soon a model that nobody has is asked for anew.
FRESH_SECONDS = 300.0
ASK_AGAIN_SECONDS = 5.0
LIST_SECONDS = 10.0
# Answers of an upstream that shows its models to nobody, or not to us.
NO_LIST = (401, 403, 404, 405)
MAX_LIST_BYTES = 16 * 1024 * 1024
MAX_MODELS = 10_000

log = logging.getLogger(__name__)


class _Listed(msgspec.Struct):
    id: str
    created: int = 0
    owned_by: str = ""


class _List(msgspec.Struct):
    data: list[_Listed]


@dataclass(slots=True)
class _Known:
    models: dict[str, _Listed] | None = None
    asked_at: float | None = None
    asking: asyncio.Task[None] | None = None
    # Whether the newest asking gave a list.
    answered: bool = False


@dataclass(slots=True, kw_only=True)
class Catalog:
    """The models of every upstream, as each last listed them."""

    peers: Mapping[str, Peer]
    # Names that the configuration adds: aliases; globs are not names.
    aliases: tuple[str, ...]
    clock: Clock
    # The globs of what an upstream serves, where they are given instead of its list.
    serves: Mapping[str, tuple[str, ...]]
    # Told the names that an upstream lists.
    on_listed: Callable[[Iterable[str]], None]
    _known: dict[str, _Known] = field(default_factory=dict)

    def lists(self, upstream: str, model: str) -> bool | None:
        """Return whether `upstream` lists `model`; None: its list is not known."""
        models = self._known.get(upstream, _Known()).models
        return None if models is None else model in models

    async def refresh(self, upstreams: Iterable[str], *, max_age_seconds: float) -> None:
        """Ask each upstream whose list is older than that; a failure leaves the old list, for a shorter while.

        Whoever needs a list that is being asked for waits for it; a caller that leaves disturbs no other.
        """
        # Where the clients' own keys go up there is none to ask with.
        names = [name for name in upstreams if not self.peers[name].passthrough]
        asking = [self._asking(name, max_age_seconds) for name in names]
        if waiting := [task for task in asking if task is not None]:
            await asyncio.wait(waiting)

    def _asking(self, name: str, max_age_seconds: float) -> "asyncio.Task[None] | None":
        known = self._known.setdefault(name, _Known())
        if known.asking is not None and not known.asking.done():
            return known.asking
        now = self.clock.monotonic()
        if not known.answered:
            max_age_seconds = min(max_age_seconds, ASK_AGAIN_SECONDS)
        if known.asked_at is not None and now - known.asked_at < max_age_seconds:
            return None
        known.asked_at = now
        known.answered = False
        known.asking = asyncio.get_running_loop().create_task(self._ask(name, known))
        return known.asking

    async def _ask(self, name: str, known: _Known) -> None:
        peer = self.peers[name]
        call = Call(endpoint="/v1/models", method="GET", target="/models", headers=(), body=b"")
        request = peer.upstream.request(call, Target(upstream=name), ())
        body = bytearray()
        try:
            reply = await peer.transport.open(request, first_byte_seconds=LIST_SECONDS)
            too_slow = self.clock.call_later(LIST_SECONDS, reply.abort)
            try:
                await reply.copy(lambda data: _grow(body, data))
            finally:
                too_slow.cancel()
                reply.abort()
            if reply.status != 200:
                log.warning("upstream %s: its list of models answered %d", name, reply.status)
                if reply.status in NO_LIST:
                    known.models = known.models or {}
                return
            listed = msgspec.json.decode(bytes(body), type=_List).data[:MAX_MODELS]
        except (UpstreamError, ValueError, _TooLongError) as error:
            log.warning("upstream %s: no list of models: %s", name, type(error).__name__)
            return
        known.models = {model.id: model for model in listed}
        known.answered = True
        self.on_listed(model.id for model in listed)

    def listing(self, user: User) -> bytes:
        """Return the JSON list of what `user` may use, in OpenAI's shape."""
        data = [_shown(model) for model in self._served().values() if may_use(user, model.id)]
        return json.dumps({"object": "list", "data": data}).encode()

    def one(self, user: User, name: str) -> bytes | None:
        """Return the JSON of one model, None where `user` may not use it or nobody has it."""
        model = self._served().get(name) if may_use(user, name) else None
        return None if model is None else json.dumps(_shown(model)).encode()

    def _served(self) -> dict[str, _Listed]:
        """Return what can be asked for: aliases, names that globs spell out, and what is listed and served."""
        models = {name: _Listed(id=name, owned_by="gateway") for name in self.aliases}
        for upstream in self.peers:
            globs = self.serves.get(upstream)
            listed = self._known.get(upstream, _Known()).models or {}
            for name in globs or ():
                if name not in listed and not is_glob(name):
                    models.setdefault(name, _Listed(id=name, owned_by=upstream))
            for name, model in listed.items():
                if globs is None or any(fnmatchcase(name, glob) for glob in globs):
                    models.setdefault(name, model)
        return models


def is_glob(name: str) -> bool:
    """Return whether a name in the configuration stands for many."""
    return any(sign in name for sign in "*?[")


class _TooLongError(Exception):
    """A list of models above MAX_LIST_BYTES."""


def _grow(body: bytearray, data: bytes) -> None:
    body += data
    if len(body) > MAX_LIST_BYTES:
        raise _TooLongError


def _shown(model: _Listed) -> dict[str, object]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
    }
