"""The manifests under k8s/, rendered: what Kubernetes' own schemas say of them, and that they fit the code."""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate  # type: ignore[import-untyped]  # it has no types
import pytest
import yaml

from gateway.config import Config
from gateway.config_loader import load
from gateway.config_types import TcpAddress
from gateway.metrics import Metrics
from k8s.generate import TARGET, prometheus_rule
from tests.deploy.test_image import environment
from tests.test_architecture import ROOT

OVERLAYS = ("sidecar", "gateway", "gateway-monitored")
VERSIONS = ("1.29", "1.33", kubernetes_validate.latest_version())
# Kinds of the Prometheus Operator, whose schemas are no part of Kubernetes.
CUSTOM = {"PodMonitor", "PrometheusRule"}
# What the kubelet and the standard containers call it.
KEYS = "/run/secrets/gateway/"
Resource = dict[str, Any]

pytestmark = pytest.mark.external("GATEWAY_KUBECTL")
every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
rendered_texts: dict[str, str] = {}


def rendered(overlay: str) -> list[Resource]:
    """Return what `kubectl kustomize` makes of an overlay."""
    if overlay not in rendered_texts:
        rendered_texts[overlay] = subprocess.run(
            [os.environ["GATEWAY_KUBECTL"], "kustomize", ROOT / "k8s" / "overlays" / overlay],
            capture_output=True,
            check=True,
            text=True,
            timeout=60,
        ).stdout
    return list(yaml.safe_load_all(rendered_texts[overlay]))


def of_kind(overlay: str, kind: str) -> list[Resource]:
    return [resource for resource in rendered(overlay) if resource["kind"] == kind]


def pods(overlay: str) -> Iterator[Resource]:
    """Yield the specification of every Pod."""
    for kind in ("Deployment", "StatefulSet"):
        for resource in of_kind(overlay, kind):
            yield resource["spec"]["template"]["spec"]


def containers(pod: Resource) -> list[Resource]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


def gateways(overlay: str) -> list[Resource]:
    """Return the gateway's containers."""
    return [one for pod in pods(overlay) for one in containers(pod) if one["name"] == "gateway"]


def variables(container: Resource) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container.get("env", ())}


def configured(overlay: str, folder: Path) -> tuple[Config, dict[str, str]]:
    """Return the configuration as the overlay's gateway reads it, with keys of our own; and its variables."""
    (container,) = gateways(overlay)
    (resource,) = [one for one in of_kind(overlay, "ConfigMap") if "config.yaml" in one["data"]]
    (folder / "openai-api-key").write_text("sk-upstream\n")
    (folder / "client-keys.yaml").write_text(f"- {{user: alice, sha256: {'1' * 64}}}\n")
    path = folder / "config.yaml"
    path.write_text(resource["data"]["config.yaml"].replace(KEYS, f"{folder}/"))
    return load(path, environment() | variables(container)).config, variables(container)


@every_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_accepts_it(overlay: str, version: str) -> None:
    """Every resource follows the schema of its kind, unknown fields refused, from the oldest version to the newest."""
    kinds = set()
    for resource in rendered(overlay):
        if resource["kind"] not in CUSTOM:
            kubernetes_validate.validate(resource, version, strict=True)
            kinds.add(resource["kind"])

    assert {"Deployment", "ConfigMap"} <= kinds


@every_overlay
def test_every_pod_is_restricted(overlay: str) -> None:
    """All containers stand by the Pod Security Standard `restricted`, and write to volumes alone."""
    for pod in pods(overlay):
        whole = pod.get("securityContext", {})
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        for volume in pod.get("volumes", ()):
            assert {"configMap", "secret", "emptyDir"} & volume.keys()
        for container in containers(pod):
            own = container["securityContext"]
            both = {**whole, **own}
            assert both["runAsNonRoot"] is True
            assert both["runAsUser"] > 0
            assert both["seccompProfile"] == {"type": "RuntimeDefault"}
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["readOnlyRootFilesystem"] is True
            assert "memory" in container["resources"]["limits"]


@every_overlay
def test_the_configuration_is_one(overlay: str, tmp_path: Path) -> None:
    """The ConfigMap's file, with the container's variables, is accepted by the gateway's own loader."""
    config, known = configured(overlay, tmp_path)

    assert config.upstreams[0].name == "openai"
    # Each variable decides something of its own, or the file refers to it.
    own = {"GATEWAY_CONFIG", "GATEWAY_LISTEN", "GATEWAY_ADMIN_LISTEN"}
    (resource,) = [one for one in of_kind(overlay, "ConfigMap") if "config.yaml" in one["data"]]
    referred = set(re.findall(r"\$\{(\w+):?-?", resource["data"]["config.yaml"]))
    assert known.keys() <= own | referred


@every_overlay
def test_ports_and_paths_are_the_gateway_s(overlay: str, tmp_path: Path) -> None:
    """Probes ask the admin listener, for paths that it has; ports are where the gateway listens."""
    config, _ = configured(overlay, tmp_path)
    (container,) = gateways(overlay)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    admin = config.admin.listen

    assert isinstance(admin, TcpAddress)
    assert ports["metrics"] == admin.port == 9464
    assert ports.get("http", 4000) == getattr(config.server.listen, "port", None) == 4000
    paths = {
        name: container[name]["httpGet"]
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
        if name in container
    }
    source = (ROOT / "gateway" / "admin.py").read_text(encoding="utf-8")
    for name, asked in paths.items():
        assert ports.get(asked["port"], asked["port"]) == 9464
        assert asked["path"] == ("/livez" if name == "livenessProbe" else "/readyz")
        assert f'"{asked["path"]}"' in source
    assert {"startupProbe", "livenessProbe"} <= paths.keys()


@every_overlay
def test_secrets_are_files_and_configurations_directories(overlay: str) -> None:
    """No key is in an environment, and both mounts follow a change."""
    (container,) = gateways(overlay)
    mounts = {one["mountPath"]: one for one in container["volumeMounts"]}

    assert mounts.keys() == {"/etc/gateway", KEYS.rstrip("/")}
    assert not any("subPath" in one for one in mounts.values())
    assert all(one["readOnly"] for one in mounts.values())
    assert not any("valueFrom" in one for one in container["env"])
    assert of_kind(overlay, "Secret") == []


@pytest.mark.parametrize("overlay", OVERLAYS[1:])
def test_a_pod_has_the_time_that_draining_takes(overlay: str, tmp_path: Path) -> None:
    """The grace of Kubernetes is preStop, the gateway's own grace and ten seconds."""
    config, _ = configured(overlay, tmp_path)
    (pod,) = [one for one in pods(overlay) if one["containers"][0]["name"] == "gateway"]
    (container,) = pod["containers"]
    waits = float(container["lifecycle"]["preStop"]["exec"]["command"][1])

    assert pod["terminationGracePeriodSeconds"] == waits + config.server.shutdown_grace + 10


@pytest.mark.parametrize("overlay", OVERLAYS[1:])
def test_gateways_are_many(overlay: str, tmp_path: Path) -> None:
    """Two at the least, spread, one away at a time, over one Redis that knows how many they can be."""
    config, _ = configured(overlay, tmp_path)
    (deployment,) = of_kind(overlay, "Deployment")
    (scaler,) = of_kind(overlay, "HorizontalPodAutoscaler")
    (budget,) = of_kind(overlay, "PodDisruptionBudget")
    services = {one["metadata"]["name"]: one["spec"] for one in of_kind(overlay, "Service")}
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert deployment["spec"]["replicas"] == scaler["spec"]["minReplicas"] == 2
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert config.store.replicas == scaler["spec"]["maxReplicas"]
    assert str(config.store.url) == "redis://gateway-redis:6379/0"
    assert services["gateway-redis"]["ports"][0]["port"] == 6379
    for selector in (
        services["gateway"]["selector"],
        budget["spec"]["selector"]["matchLabels"],
        *(
            one["labelSelector"]["matchLabels"]
            for one in deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
        ),
    ):
        assert selector.items() <= labels.items()


def test_the_app_beside_a_sidecar_is_told_where_it_is(tmp_path: Path) -> None:
    """The app gets three variables, the sidecar is one of Kubernetes' own kind, and its API is on loopback alone."""
    config, _ = configured("sidecar", tmp_path)
    (pod,) = pods("sidecar")
    (sidecar,) = pod["initContainers"]
    (app,) = pod["containers"]
    source = yaml.safe_load((ROOT / "k8s/overlays/sidecar/app.yaml").read_text())
    (before,) = source["spec"]["template"]["spec"]["containers"]

    assert sidecar["restartPolicy"] == "Always"
    assert str(config.server.listen) == "127.0.0.1:4000"
    assert config.auth.effective_mode == "none"
    assert variables(app) == {
        "OPENAI_BASE_URL": f"http://{config.server.listen}/v1",
        "OPENAI_API_BASE": f"http://{config.server.listen}/v1",
        "OPENAI_API_KEY": "held-by-the-gateway",
    }
    assert {name: value for name, value in app.items() if name != "env"} == before


def test_scaling_and_scraping_name_what_there_is() -> None:
    """The scaler's metric and the adapter's rule are series of ours; the PodMonitor's port and labels are the Pod's."""
    (scaler,) = of_kind("gateway-monitored", "HorizontalPodAutoscaler")
    (monitor,) = of_kind("gateway-monitored", "PodMonitor")
    (deployment,) = of_kind("gateway-monitored", "Deployment")
    (container,) = gateways("gateway-monitored")
    _, streams = scaler["spec"]["metrics"]
    series = streams["pods"]["metric"]["name"]
    adapter = (ROOT / "k8s/components/streams-hpa/adapter-values.yaml").read_text()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]

    assert series in {family.name for family in Metrics().collect()}
    assert f"'{series}{{" in adapter
    assert endpoint["path"] == "/metrics"
    assert endpoint["port"] in {port["name"] for port in container["ports"]}
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_rules_and_boards_are_those_of_the_project() -> None:
    """The PrometheusRule is written from dashboards/rules, the ConfigMap has every board as it is."""
    (boards,) = [
        one["data"]
        for one in of_kind("gateway-monitored", "ConfigMap")
        if one["metadata"]["name"] == "gateway-dashboards"
    ]
    files = (ROOT / "dashboards" / "boards").glob("*.json")

    assert TARGET.read_text(encoding="utf-8") == prometheus_rule(), "run `make docs`"
    assert {name: json.loads(text) for name, text in boards.items()} == {
        path.name: json.loads(path.read_text(encoding="utf-8")) for path in files
    }


def test_the_network_policy_lets_the_gateway_do_its_work() -> None:
    """Clients, scraper, names, store and upstreams pass; the metadata service of a cloud does not."""
    policies = {one["metadata"]["name"]: one["spec"] for one in of_kind("gateway", "NetworkPolicy")}
    ingress, egress = (
        {port["port"] for rule in policies["gateway"][way] for port in rule["ports"]}
        for way in ("ingress", "egress")
    )
    (internet,) = [
        peer["ipBlock"]
        for rule in policies["gateway"]["egress"]
        for peer in rule["to"]
        if "ipBlock" in peer
    ]

    assert ingress == {4000, 9464}
    assert egress == {53, 443, 6379}
    assert "169.254.0.0/16" in internet["except"]
