"""Programs under measurement: started on one core, asked for their processor time, stopped again."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

START_SECONDS = 90.0
STOP_SECONDS = 10.0
SETTLE_SECONDS = 3.0

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class StartFailedError(Exception):
    """A program ended, or did not listen in time; the text is the end of what it wrote."""


class Program:
    """A program with all its processes."""

    def __init__(self, popen: "subprocess.Popen[bytes]", log: Path) -> None:
        self._popen = popen
        self._log = log

    def cpu_seconds(self) -> float:
        """Return the user and system time that its processes have taken so far, by the kernel's accounting."""
        ticks = 0
        for process in self._processes():
            with contextlib.suppress(OSError):
                fields = _stat(process)
                ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICKS_PER_SECOND

    def _processes(self) -> Iterator[Path]:
        for process in Path("/proc").glob("[0-9]*"):
            # A process may have ended meanwhile.
            with contextlib.suppress(OSError):
                if int(_stat(process)[3]) == self._popen.pid:
                    yield process

    def memory_bytes(self) -> int:
        """Return the memory of its processes, what they share counted once (the kernel's PSS)."""
        total_kib = 0
        for process in self._processes():
            with contextlib.suppress(OSError):
                rollup = (process / "smaps_rollup").read_text()
                line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
                total_kib += int(line.split()[1])
        return total_kib * 1024

    def wait_for(self, port: int) -> None:
        """Return when it listens on `port`.

        Raises StartFailedError.
        """
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._popen.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.05)
        raise StartFailedError(self._log.read_text(errors="replace")[-2_000:])

    def settle(self) -> None:
        """Return when it does nothing any more, or after some seconds: what it still does is not another's."""
        end = time.monotonic() + SETTLE_SECONDS
        before = self.cpu_seconds()
        while time.monotonic() < end:
            time.sleep(0.1)
            # A tenth of a second has ten ticks.
            now = self.cpu_seconds()
            if now - before <= 1 / _TICKS_PER_SECOND:
                return
            before = now

    def stop(self) -> None:
        """End it, gently at first."""
        self._popen.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._popen.wait(STOP_SECONDS)
        # Whoever of its session is still there.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()


def _stat(process: Path) -> list[str]:
    # The name, in parentheses, may hold anything: the numbers follow the last one.
    return (process / "stat").read_text().rpartition(")")[2].split()


@contextlib.contextmanager
def program(
    argv: Sequence[str], *, core: int, log: Path, environ: Mapping[str, str] | None = None
) -> Iterator[Program]:
    """Run a program on one core, in a session of its own; what it prints goes to `log`.

    It ends with the block, or with this process, however that ends.
    """
    with log.open("wb") as out:
        popen = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "taskset", "-c", str(core), *argv],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environ or {})},
            start_new_session=True,
        )
    running = Program(popen, log)
    try:
        yield running
    finally:
        running.stop()


def compiled(source: Path, folder: Path) -> Path:
    """Compile a C program into `folder`; return where it is."""
    binary = folder / source.stem
    subprocess.run(["cc", "-O2", "-o", str(binary), str(source)], check=True)
    return binary


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
