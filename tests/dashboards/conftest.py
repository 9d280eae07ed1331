"""A gateway under traffic, and a real Prometheus that scraped it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.dashboards.traffic import Gateway, make_traffic, reload_twice
from tests.dashboards.traffic import running as running_gateway
from tests.support import prometheus
from tests.support.prometheus import Prometheus
from tests.test_architecture import ROOT

RULES = sorted((ROOT / "dashboards" / "rules").glob("*.yml"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Both of them."""

    gateway: Gateway
    prometheus: Prometheus

    def catch_up(self) -> None:
        """Return once Prometheus has seen every call that ended."""
        self.prometheus.wait(f"sum(gateway_requests_total) == {self.gateway.asked}")


@pytest.fixture(scope="session")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observed]:
    """Scrape a gateway before and after its traffic, until every recorded series has a value."""
    if not prometheus.installed():
        pytest.skip("prometheus and promtool are not installed (Debian's package prometheus)")
    folder: Path = tmp_path_factory.mktemp("observed")
    with (
        running_gateway(folder) as gateway,
        prometheus.running(gateway.admin, RULES, folder) as server,
    ):
        seen = Observed(gateway=gateway, prometheus=server)
        reload_twice(gateway)
        # A series is born with its first value: only what is added later is a rate.
        for _ in range(2):
            make_traffic(gateway)
            server.wait('up{job="gateway"} == 1 and scrape_samples_scraped > 0')
            seen.catch_up()
        # The last rules of their groups, over what the first ones recorded.
        server.wait("job:gateway_availability_errors:ratio_rate30d > 0")
        server.wait("job:gateway_first_tokens_late:ratio_rate30d >= 0")
        yield seen
