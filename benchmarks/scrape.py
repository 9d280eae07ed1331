"""How long a scrape of many series keeps calls waiting: a gateway of its own, with many users and models."""

import contextlib
import http.client
import threading
from pathlib import Path
from statistics import median

from benchmarks.asking import Client, first_answer
from benchmarks.cases import KEY, Case, chat
from benchmarks.processes import free_port
from benchmarks.samples import Samples
from benchmarks.targets import Running, Target, gateway_config, serve, started

SERIES = 10_000
USERS = 200
MODELS = 50
SCRAPES = 7


def scrape(core: int, folder: Path, upstream: int, samples: Samples) -> None:
    """Measure the longest wait of small calls beside a scrape of 10,000 series, the median of several."""
    admin = free_port()

    def prepare(own: Path, port: int, behind: int) -> list[str]:
        return serve(own, gateway_config(port, behind, admin=admin, users=USERS, models=MODELS))

    target = Target(name="gateway", prepare=prepare)
    with started(target, core=core, folder=folder / "many series", upstream=upstream) as running:
        first_answer(running)
        _fill(running, admin)
        client = Client(running)
        waits = [_beside_scrape(client, admin) for _ in range(SCRAPES)]
        alone = [max(client.ask() for _ in range(50)) for _ in range(SCRAPES)]
        samples.add("longest wait beside a scrape", running, 1, median(waits) * 1e3)
        samples.add("longest wait without a scrape", running, 1, median(alone) * 1e3)


def _fill(target: Running, admin: int) -> None:
    for model in range(MODELS):
        case = Case(
            name="",
            concurrency=1,
            body=chat({"role": "system", "content": "Hi"}).replace(
                b"gpt-4o-mini", b"gpt-4o-mini-%03d" % model
            ),
        )
        for user in range(USERS):
            client = Client(target, case, key=f"{KEY}{user:03}")
            client.ask()
            client.close()
        if _series(admin) >= SERIES:
            return


def _series(admin: int) -> int:
    lines = _metrics(admin).splitlines()
    return sum(1 for line in lines if line and not line.startswith("#"))


def _metrics(admin: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", admin, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


def _beside_scrape(client: Client, admin: int) -> float:
    longest = 0.0
    thread = threading.Thread(target=_metrics, args=(admin,))
    thread.start()
    while thread.is_alive():
        longest = max(longest, client.ask())
    thread.join()
    return longest
