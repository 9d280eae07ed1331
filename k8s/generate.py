"""Writes what Kustomize cannot make of other files: the PrometheusRule of dashboards/rules.

`make docs` runs it; tests/deploy/test_kubernetes.py says when it was forgotten.
"""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "k8s" / "components" / "monitoring" / "prometheus-rule.yaml"
HEADER = "# Generated from dashboards/rules: `make docs` writes it.\n"


def prometheus_rule() -> str:
    """Return the rules of dashboards/rules as the Prometheus Operator takes them."""
    files = sorted((ROOT / "dashboards" / "rules").glob("*.yml"), reverse=True)
    groups = [
        group
        for file in files
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
    ]
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "gateway", "labels": {"app.kubernetes.io/name": "gateway"}},
        "spec": {"groups": groups},
    }
    return HEADER + yaml.safe_dump(resource, sort_keys=False, allow_unicode=True, width=120)


if __name__ == "__main__":
    TARGET.write_text(prometheus_rule(), encoding="utf-8")
