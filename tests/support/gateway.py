"""A gateway started as production starts it, in the test's own loop, and a raw client that speaks bytes to it."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from gateway.app import App, CallLog
from gateway.clock import Clock, SystemClock
from gateway.config_loader import Loaded, load
from gateway.entries import Entry

# What a test waits for an event that must come: far above any promise, only to end a hang.
HANG_SECONDS = 10.0

_numbers = itertools.count()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningGateway:
    """Where a started gateway listens."""

    app: App
    host: str
    port: int
    # The file that it was configured by, and reads anew.
    path: Path

    @property
    def url(self) -> str:
        """The base URL that an SDK is given."""
        return self.app.base_url


class KeptLog:
    """Keeps the fields of each call's line."""

    def __init__(self) -> None:
        self.lines: list[Mapping[str, object]] = []

    def configure(self, level: str, style: str) -> None:
        """Do nothing: nothing is written."""

    def access(self, call: Entry) -> None:
        """Keep the line of a call that ended."""
        self.lines.append(call.fields())


@contextlib.asynccontextmanager
async def running(
    config: str,
    tmp_path: Path,
    *,
    environ: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    log: CallLog | None = None,
) -> AsyncIterator[RunningGateway]:
    """Run a gateway under the text of `config`; drained at the end."""
    path = tmp_path / f"config-{next(_numbers)}.yaml"
    path.write_text(config)

    def read() -> Loaded:
        return load(path, environ or {})

    app = App(read(), read, clock or SystemClock(), log)
    await app.start()
    parts = urlsplit(app.base_url)
    try:
        yield RunningGateway(app=app, host=parts.hostname or "", port=parts.port or 0, path=path)
    finally:
        await app.drain()


@dataclass(frozen=True, slots=True, kw_only=True)
class RawReply:
    """A reply as it stood on the wire."""

    status: int
    # (lower-case name, value) in wire order.
    headers: tuple[tuple[str, str], ...]
    body: bytes
    # Whether the reply ended as its framing says; a cut one did not.
    whole: bool

    def header(self, name: str) -> str | None:
        """Return the first value of a field, None where there is none."""
        return next((value for field, value in self.headers if field == name), None)


class RawClient:
    """One TCP connection on which a test says exactly which bytes go out."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, gateway: RunningGateway) -> "RawClient":
        """Connect to a gateway."""
        return cls(*await asyncio.open_connection(gateway.host, gateway.port))

    def send(self, data: bytes) -> None:
        """Write bytes now."""
        self.writer.write(data)

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Write a plain request."""
        fields = [("Host", "127.0.0.1"), *headers]
        if body or method == "POST":
            fields.append(("Content-Length", str(len(body))))
            if not any(name.lower() == "content-type" for name, _ in headers):
                fields.append(("Content-Type", "application/json"))
        head = "".join(f"{name}: {value}\r\n" for name, value in fields)
        self.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body)

    async def head(self) -> tuple[int, tuple[tuple[str, str], ...]]:
        """Read a reply's head."""
        async with asyncio.timeout(HANG_SECONDS):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        lines = raw.decode("latin-1").split("\r\n")
        fields = tuple(
            (name.lower(), value.strip())
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        )
        return int(lines[0].split(" ")[1]), fields

    async def reply(self, *, bodiless: bool = False) -> RawReply:
        """Read a whole reply, or as much of it as came before the connection ended."""
        status, headers = await self.head()
        fields = dict(headers)
        async with asyncio.timeout(HANG_SECONDS):
            if bodiless or status in (204, 304):
                body, whole = b"", True
            elif fields.get("transfer-encoding") == "chunked":
                body, whole = await self.chunks()
            elif "content-length" in fields:
                body, whole = await self._exactly(int(fields["content-length"]))
            else:
                body, whole = await self._rest()
        return RawReply(status=status, headers=headers, body=body, whole=whole)

    async def closed(self) -> bytes:
        """Wait until the gateway closes the connection; return what still came."""
        async with asyncio.timeout(HANG_SECONDS):
            return (await self._rest())[0]

    async def chunks(self) -> tuple[bytes, bool]:
        """Read a chunked body; say whether its last chunk came."""
        pieces = []
        try:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                pieces.append(await self.reader.readexactly(size))
                await self.reader.readexactly(2)
            await self.reader.readexactly(2)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b"".join(pieces), False
        return b"".join(pieces), True

    async def _exactly(self, size: int) -> tuple[bytes, bool]:
        try:
            return await self.reader.readexactly(size), True
        except asyncio.IncompleteReadError as error:
            return error.partial, False
        except ConnectionError:
            return b"", False

    async def _rest(self) -> tuple[bytes, bool]:
        pieces = []
        try:
            while piece := await self.reader.read(65_536):
                pieces.append(piece)
        except ConnectionError:
            return b"".join(pieces), False
        return b"".join(pieces), True

    async def aclose(self) -> None:
        """Close the connection."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
