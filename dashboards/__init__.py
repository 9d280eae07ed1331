"""Grafana boards, written as JSON from the descriptions here, beside Prometheus's rules for them in `rules/`."""
