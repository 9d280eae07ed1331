"""What the demo upstream was asked, newest last, for tests to look at: bounded, whatever comes."""

import asyncio
import base64
import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_REQUESTS = 1_000
# Above it a body is only measured and hashed.
MAX_KEPT_BODY_BYTES = 65_536


@dataclass(slots=True, kw_only=True)
class Seen:
    """One request as it came."""

    method: str
    # The raw path and query.
    target: str
    # (name as sent, value) in wire order.
    headers: tuple[tuple[str, str], ...]
    # The first 64 KiB of the body, before any content coding is undone.
    body: bytes = b""
    body_bytes: int = 0
    # None until the reply's head is written.
    status: int | None = None
    sent_bytes: int = 0
    # How far the call was: "receiving", "waiting" (no byte of the reply yet), "streaming", "done".
    phase: str = "receiving"
    # In which phase the client left before its reply was whole; None: it stayed.
    aborted: str | None = None
    _hash: "hashlib._Hash" = field(default_factory=hashlib.sha256, repr=False)

    def take(self, piece: bytes) -> None:
        """Note a piece of the body."""
        room = MAX_KEPT_BODY_BYTES - len(self.body)
        if room > 0:
            self.body += piece[:room]
        self.body_bytes += len(piece)
        self._hash.update(piece)

    @property
    def sha256(self) -> str:
        """Return the digest of the whole body in hex."""
        return self._hash.hexdigest()

    def header(self, name: str) -> str | None:
        """Return the first value of a field, None where there is none."""
        wanted = name.lower()
        return next((value for field, value in self.headers if field.lower() == wanted), None)

    def describe(self) -> dict[str, object]:
        """Return the request as /demo/requests tells it."""
        return {
            "method": self.method,
            "target": self.target,
            "headers": self.headers,
            "body_base64": base64.b64encode(self.body).decode(),
            "body_bytes": self.body_bytes,
            "body_sha256": self.sha256,
            "status": self.status,
            "sent_bytes": self.sent_bytes,
            "phase": self.phase,
            "aborted": self.aborted,
        }


class Journal:
    """The last requests, and whether any is still being answered."""

    def __init__(self) -> None:
        self.requests: deque[Seen] = deque(maxlen=MAX_REQUESTS)
        self._in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def open(self, method: str, target: str, headers: Sequence[tuple[str, str]]) -> Seen:
        """Note a request whose head has come; `close` follows in any case."""
        seen = Seen(method=method, target=target, headers=tuple(headers))
        self.requests.append(seen)
        self._in_flight += 1
        self._idle.clear()
        return seen

    def close(self) -> None:
        """Note that a request has been answered, or given up."""
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()

    async def settled(self) -> None:
        """Return when no request is being answered."""
        await self._idle.wait()
