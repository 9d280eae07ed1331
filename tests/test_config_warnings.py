"""Warnings: what is allowed and will bite, told with its path."""

from datetime import date
from pathlib import Path

import pytest

from gateway.config_warnings import Traits, unlisted, warnings
from tests.support.configs import UPSTREAM, loaded

TODAY = date(2027, 1, 31)
KNOWN = {"gpt-4o": Traits(priced=True, reasons=False), "o3": Traits(priced=True, reasons=True)}
KEY = "a-key-long-enough"


def traits_of(name: str) -> Traits:
    """Return what is known of a model."""
    return KNOWN.get(name, Traits(priced=False, reasons=False))


def upstream(text: str) -> str:
    """Return a file with one upstream."""
    return f"upstreams: [{{name: u, {text}}}]\n"


BUDGET = "store: {url: 'file:///tmp'}\nlimits: [{per: user, budget: 5/day}]\n"
BITES = {
    "metrics for everybody": (
        f"{UPSTREAM}admin: {{listen: '0.0.0.0:9464'}}",
        ["admin.listen: whoever reaches 0.0.0.0:9464 can read the metrics"],
    ),
    "calls for everybody": (
        f"{UPSTREAM}auth: {{mode: open}}\nserver: {{listen: '[::]:4000'}}",
        ["auth.mode: whoever reaches [::]:4000 can call without a key"],
    ),
    "a key in clear text": (
        upstream("base_url: 'http://engine/v1', api_key: k"),
        ["upstreams[0].base_url: keys travel to engine in clear text; use https"],
    ),
    "clients' keys in clear text": (
        upstream("base_url: 'http://engine/v1', auth: passthrough"),
        ["upstreams[0].base_url: keys travel to engine in clear text; use https"],
    ),
    "money that a restart gives anew": (
        f"{UPSTREAM}limits: [{{per: user, requests: 5/s}}, {{per: user, budget: 5/day}}]",
        ["limits[1].budget: store.url is memory://, so a restart gives the money anew"],
    ),
    "a budget that nothing uses up": (
        f"{UPSTREAM}{BUDGET}models: {{llama: {{}}, mine: {{targets: [{{upstream: local, model: gpt-4o}}]}},"
        " free: {price: {input: 0}}}",
        [
            "limits[0].budget: llama has no price, so that it costs nothing;"
            " `usage.unpriced: refuse` refuses it"
        ],
    ),
    "thoughts that nobody reports": (
        upstream("base_url: 'http://127.0.0.1/v1', models: [gpt-4o, o3, o4*]") + BUDGET,
        [
            "limits[0].budget: what o3 thinks in a stream is guessed unless the client asks for its"
            " usage; `usage.include_usage: always` asks for it"
        ],
    ),
    "a budget for one model": (
        f"{UPSTREAM}{BUDGET.replace('user,', 'user, match: {model: other},')}models: {{llama: {{}}}}",
        [
            "limits[0].budget: other has no price, so that it costs nothing;"
            " `usage.unpriced: refuse` refuses it"
        ],
    ),
    "a store for one machine": (
        f"{UPSTREAM}store: {{replicas: 2}}",
        ["store.replicas: a store of this machine alone is not shared"],
    ),
    "no path": (
        upstream("base_url: 'http://127.0.0.1:11434'"),
        ["upstreams[0].base_url: most servers answer below /v1: http://127.0.0.1:11434/v1"],
    ),
    "authorities without https": (
        upstream(f"base_url: 'http://127.0.0.1/v1', ca_file: {__file__}"),
        ["upstreams[0].ca_file: means nothing without https"],
    ),
    "an expired key": (
        f"{UPSTREAM}auth: {{keys: [{{user: a, key: {KEY}, expires: 2027-01-31}}]}}",
        ["auth.keys[0]: a's key expired on 2027-01-31"],
    ),
    "keys that nobody asks for": (
        f"{UPSTREAM}auth: {{mode: none, keys: [{{user: a, key: {KEY}, expires: 2027-01-31}}]}}",
        ["auth.keys: not asked for in mode none"],
    ),
    "no key yet": (
        f"{UPSTREAM}auth: {{keys_files: [empty.yaml]}}",
        ["auth.keys_files: there is no key yet, so nobody can call"],
    ),
    "an upstream that serves what `models` says alone": (
        upstream("base_url: http://127.0.0.1:8000/v1, models: []")
        + "models: {a: {targets: [{upstream: u}]}}",
        [],
    ),
    "targets that their upstream leaves out": (
        upstream("base_url: 'http://127.0.0.1/v1', models: [a*]")
        + "models: {b: {targets: [{upstream: u}]}, c: {targets: [{upstream: u, model: d}]},"
        " e: {targets: [{upstream: u, model: a1}]}}",
        [
            "models.b.targets[0]: u's `models` leave b out",
            "models.c.targets[0]: u's `models` leave d out",
        ],
    ),
    "a model that nobody has": (
        upstream("base_url: 'http://127.0.0.1/v1', models: [a*]") + "models: {b: {}, a1: {}}",
        ["models.b: no upstream serves it"],
    ),
}


@pytest.mark.parametrize("case", BITES)
def test_what_will_bite(tmp_path: Path, case: str) -> None:
    """Each thing is told once, with its path, and nothing else is."""
    (tmp_path / "empty.yaml").touch()
    text, expected = BITES[case]

    assert list(warnings(loaded(tmp_path, text), TODAY, traits_of)) == expected


QUIET = {
    "money that is counted": upstream("base_url: 'http://127.0.0.1/v1', models: [gpt-4o, o3, x]")
    + BUDGET
    + "usage: {include_usage: always, unpriced: refuse}",
    "this machine": UPSTREAM,
    "a key on this machine": f"{UPSTREAM}    api_key: k\n",
    "a key over TLS": upstream("base_url: 'https://engine/v1', api_key: k"),
    "no key at all": upstream("base_url: 'http://engine/v1'"),
    "a key that still holds": f"{UPSTREAM}auth: {{keys: [{{user: a, key: {KEY},"
    " expires: 2027-02-01}]}",
    "azure": upstream(
        "kind: azure, base_url: 'https://a.openai.azure.com', api_version: v, api_key: k"
    ),
    "a glob": f"{UPSTREAM}models: {{'*': {{targets: [{{upstream: local}}]}}}}",
}


@pytest.mark.parametrize("case", QUIET)
def test_what_will_not_bite(tmp_path: Path, case: str) -> None:
    """Nothing is said of what is in order."""
    assert warnings(loaded(tmp_path, QUIET[case]), TODAY, traits_of) == ()


def test_targets_that_an_upstream_does_not_list(tmp_path: Path) -> None:
    """What an upstream was asked for shows misspelt targets; one that lists nothing shows none."""
    text = (
        "upstreams:\n"
        "  - {name: a, base_url: 'http://a/v1'}\n"
        "  - {name: b, base_url: 'http://b/v1'}\n"
        "models:\n"
        "  one: {targets: [{upstream: a}, {upstream: a, model: two}, {upstream: b, model: x}]}\n"
        "  gpt-*: {targets: [{upstream: a}]}\n"
    )

    found = unlisted(loaded(tmp_path, text), {"a": frozenset({"one"}), "b": None})

    assert list(found) == ["models.one.targets[1]: a does not list two"]
