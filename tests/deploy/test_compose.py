"""The compose file: its parts fit together, and the gateway's configuration is one."""

from pathlib import Path
from typing import Any

import yaml

from gateway.config import Server
from gateway.config_loader import load
from tests.deploy.test_image import environment
from tests.test_architecture import ROOT

FOLDER = ROOT / "examples" / "compose"


def document(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))


SERVICES = document("compose.yaml")["services"]


def mounts(service: str) -> dict[str, Path]:
    """Return the folders and files of the project that a service sees, by their place there."""
    found = {}
    for volume in SERVICES[service].get("volumes", ()):
        source, target = volume.split(":")[:2]
        if source.startswith("."):
            assert volume.endswith(":ro")
            found[target] = (FOLDER / source).resolve()
    return found


def test_every_mount_is_there() -> None:
    """What the services see of the project exists, and the image is built from its Dockerfile."""
    for service in SERVICES:
        for target, source in mounts(service).items():
            assert source.exists(), target
    assert (FOLDER / SERVICES["gateway"]["build"] / "Dockerfile").is_file()


def test_the_gateway_accepts_its_configuration() -> None:
    """The mounted file with the variables of compose and image loads; the store is the Redis beside it."""
    service = SERVICES["gateway"]
    variables = {name: text.partition(":?")[0] for name, text in service["environment"].items()}
    variables["GATEWAY_API_KEY"] = "sk-of-the-programs-1"
    folder = Path(service["environment"]["GATEWAY_CONFIG"]).parent
    path = mounts("gateway")[str(folder)] / "config.yaml"

    config = load(path, environment() | variables).config

    assert str(config.store.url).startswith("redis://redis:6379")
    assert config.auth.effective_mode == "keys"
    assert service["ports"] == ["127.0.0.1:4000:4000"]
    assert service["stop_grace_period"] == f"{Server().shutdown_grace + 10:.0f}s"


def test_nothing_listens_beyond_this_machine() -> None:
    """Every published port is one of loopback."""
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert service["cap_drop"] == ["ALL"]


def test_prometheus_finds_gateway_and_rules() -> None:
    """The target is the gateway's admin port; the rules are the project's."""
    settings = document("prometheus.yml")
    (scrape,) = settings["scrape_configs"]
    rules = mounts("prometheus")["/etc/prometheus/rules"]

    assert scrape["static_configs"] == [{"targets": ["gateway:9464"]}]
    assert settings["rule_files"] == ["rules/*.yml"]
    assert sorted(path.name for path in rules.glob("*.yml")) == ["alerts.yml", "recording.yml"]


def test_grafana_has_the_boards() -> None:
    """Grafana is provisioned with the Prometheus beside it, at its pace, and with the project's boards."""
    (source,) = document("grafana/datasources.yaml")["datasources"]
    (provider,) = document("grafana/dashboards.yaml")["providers"]
    boards = mounts("grafana")[provider["options"]["path"]]

    assert source["url"] == "http://prometheus:9090"
    interval = document("prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval
    assert boards == ROOT / "dashboards" / "boards"
    assert list(boards.glob("*.json"))
