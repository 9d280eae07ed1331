"""A server that introduces itself like Redis and then does to scripts whatever a test wants."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import hiredis

HANG_SECONDS = 10.0


class BadRedis:
    """What it says to every command that runs a script; the others get "OK"."""

    def __init__(self, path: Path) -> None:
        self.url = f"unix://{path}"
        # b"": nothing, for ever. None: it hangs up.
        self.answer: bytes | None = b""
        # What it says to any other command.
        self.greeting: bytes | None = b"+OK\r\n"
        # How many are open.
        self.connections = 0
        # The commands' names, in order.
        self.asked: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection until it ends."""
        self.connections += 1
        try:
            with contextlib.suppress(ConnectionError):
                await self._converse(reader, writer)
        finally:
            writer.close()
            self.connections -= 1

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        while data := await reader.read(65_536):
            commands.feed(data)
            while command := commands.gets():
                self.asked.append(command[0])
                is_script = command[0] in (b"EVAL", b"EVALSHA")
                answer = self.answer if is_script else self.greeting
                if answer is None:
                    return
                writer.write(answer)


@contextlib.asynccontextmanager
async def bad_redis(directory: Path) -> AsyncIterator[BadRedis]:
    """Run such a server for as long as the block lasts."""
    path = directory / "bad.sock"
    bad = BadRedis(path)
    server = await asyncio.start_unix_server(bad.serve, path)
    try:
        yield bad
    finally:
        server.close()
        async with asyncio.timeout(HANG_SECONDS):
            while bad.connections:  # noqa: ASYNC110 -- the clients are closed: it is a matter of ticks
                await asyncio.sleep(0.001)
            await asyncio.sleep(0)
