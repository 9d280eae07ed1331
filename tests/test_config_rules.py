"""What must be true between fields: each rule broken once, and kept once."""

from pathlib import Path

import pytest

from gateway.config import Model
from gateway.config_rules import entry_of, matches, served
from tests.support.configs import loaded, problems

LOCAL = "upstreams: [{name: local, base_url: 'http://127.0.0.1:8000/v1'}]\n"
TWO = """\
upstreams:
  - {name: a, base_url: 'http://a/v1', models: [a-*]}
  - {name: b, base_url: 'http://b/v1', models: [b-*]}
"""
KEY = "a-key-long-enough"
DIGEST = "36bb65f925f1f271ffa430483e31055fb15ebd5ace22a1197d0af423ccb9f6cf"


def upstream(text: str) -> str:
    """Return a file with one upstream."""
    return f"upstreams: [{{name: u, {text}}}]\n"


BROKEN = {
    "one address for both listeners": (
        f"{LOCAL}admin: {{listen: '127.0.0.1:4000'}}",
        ["2: admin.listen: clients are served on 127.0.0.1:4000; take another address"],
    ),
    "both listeners, one of them everywhere": (
        f"{LOCAL}server: {{listen: '0.0.0.0:9464'}}\nauth: {{mode: open}}",
        ["1: admin.listen: clients are served on 0.0.0.0:9464; take another address"],
    ),
    "one socket for both listeners": (
        f"{LOCAL}server: {{listen: 'unix:/g'}}\nadmin: {{listen: 'unix:/g'}}",
        ["3: admin.listen: clients are served on unix:/g; take another address"],
    ),
    "no upstream": ("upstreams: []", ["1: upstreams: expected at least one upstream"]),
    "two upstreams of one name": (
        "upstreams:\n"
        "  - {name: a, base_url: 'http://a/v1'}\n"
        "  - {name: a, base_url: 'http://b/v1'}\n",
        ["3: upstreams[1].name: there is another upstream called a"],
    ),
    "azure without a version": (
        upstream("kind: azure, base_url: 'https://a.openai.azure.com', api_key: k"),
        ["1: upstreams[0].api_version: `kind: azure` needs it, such as 2024-10-21"],
    ),
    "a version without azure": (
        upstream("base_url: 'http://a/v1', api_version: v1"),
        ["1: upstreams[0].api_version: is for `kind: azure` alone"],
    ),
    "OpenAI without a key": (
        upstream("base_url: 'https://api.openai.com/v1'"),
        ["1: upstreams[0].api_key: OpenAI needs a key"],
    ),
    "a key that passthrough never sends": (
        upstream("base_url: 'http://a/v1', auth: passthrough, api_key: k"),
        ["1: upstreams[0].api_key: is never sent with `auth: passthrough`"],
    ),
    "a header over the client's key": (
        upstream("base_url: 'http://a/v1', auth: passthrough, headers: {Authorization: k}"),
        ["1: upstreams[0].headers: authorization would replace the client's own key"],
    ),
    "a header over the key": (
        upstream("base_url: 'http://a/v1', api_key: k, headers: {api-key: k}"),
        ["1: upstreams[0].headers: api-key would replace `api_key`"],
    ),
    "no certificates": (
        upstream(f"base_url: 'https://a/v1', ca_file: {__file__}"),
        [f"1: upstreams[0].ca_file: there are no certificates in PEM in {__file__}"],
    ),
    "no authorities": (
        upstream("base_url: 'https://a/v1', ca_file: /nowhere.pem"),
        ["1: upstreams[0].ca_file: there is no file /nowhere.pem"],
    ),
    "passthrough with keys": (
        f"{upstream('base_url: http://a/v1, auth: passthrough')}"
        f"auth: {{keys: [{{user: a, key: {KEY}}}]}}",
        [
            "1: upstreams[0].auth: passthrough needs auth.mode none or open:"
            " in mode keys, clients send the gateway's keys"
        ],
    ),
    "one cache for many accounts": (
        f"{upstream('base_url: http://a/v1, auth: passthrough')}cache: {{scope: shared}}",
        [
            "2: cache.scope: clients' own keys go up to u:"
            " what one account is answered is no other's"
        ],
    ),
    "a cache's own memory": (
        f"{LOCAL}cache: {{store: memory://}}",
        ["2: cache.store: expected a Redis: redis://, rediss:// or unix://"],
    ),
    "a target without its upstream": (
        f"{LOCAL}models: {{m: {{targets: [{{upstream: locla}}]}}}}",
        ["2: models.m.targets[0].upstream: there is no upstream locla; did you mean local?"],
    ),
    "a reply longer than the window": (
        f"{LOCAL}models: {{m: {{context_window: 10, max_output_tokens: 11}}}}",
        ["2: models.m.max_output_tokens: is more than context_window, 10"],
    ),
    "a fallback on nothing": (
        f"{TWO}models: {{a-1: {{fallbacks: [c-1]}}}}",
        ["4: models.a-1.fallbacks[0]: there is no model c-1; did you mean a-1?"],
    ),
    "fallbacks in a circle": (
        f"{LOCAL}models:\n  c: {{fallbacks: [b]}}\n  b: {{fallbacks: [x, a]}}\n"
        "  a: {fallbacks: [c]}\n",
        ["5: models.a.fallbacks: they lead in a circle: a → c → b → a"],
    ),
    "a fallback on itself": (
        f"{LOCAL}models: {{a: {{fallbacks: [a]}}}}",
        ["2: models.a.fallbacks: they lead in a circle: a → a"],
    ),
    "a circle through a glob": (
        f"{LOCAL}models: {{a: {{fallbacks: [b-1]}}, b-*: {{fallbacks: [a]}}}}",
        ["2: models.a.fallbacks: they lead in a circle: a → b-1 → a"],
    ),
    "nobody is asked for a key, from anywhere": (
        f"{LOCAL}server: {{listen: '0.0.0.0:4000'}}",
        [
            "2: server.listen: without keys anybody could call 0.0.0.0:4000: give auth.keys or"
            " GATEWAY_API_KEY, or say `auth.mode: open`"
        ],
    ),
    "mode none, from anywhere": (
        f"{LOCAL}server: {{listen: '[::]:4000'}}\nauth: {{mode: none}}",
        [
            "3: auth.mode: without keys anybody could call [::]:4000: give auth.keys or"
            " GATEWAY_API_KEY, or say `auth.mode: open`"
        ],
    ),
    "keys without any": (
        f"{LOCAL}auth: {{mode: keys}}",
        ["2: auth.mode: there are no keys: nobody could call"],
    ),
    "a key and its digest": (
        f"{LOCAL}auth: {{keys: [{{user: a, key: {KEY}, sha256: {DIGEST}}}]}}",
        ["2: auth.keys[0]: expected one of `key` and `sha256`"],
    ),
    "no key and no digest": (
        f"{LOCAL}auth: {{keys: [{{user: a}}]}}",
        ["2: auth.keys[0]: expected one of `key` and `sha256`"],
    ),
    "one key of two users": (
        f"{LOCAL}auth:\n  keys:\n    - {{user: a, key: {KEY}}}\n    - {{user: b, key: {KEY}}}\n",
        ["5: auth.keys[1]: the same key as auth.keys[0] of {folder}/config.yaml"],
    ),
    "the digest of nothing": (
        f"{LOCAL}auth: {{keys: [{{user: a, sha256: "
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855}]}",
        ["2: auth.keys[0]: this is the digest of an empty key"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_rule(tmp_path: Path, case: str) -> None:
    """What cannot be meant is refused where it stands."""
    text, expected = BROKEN[case]

    found = problems(tmp_path, text)

    assert found == [f"config.yaml:{line}".replace("{folder}/", "") for line in expected]


KEPT = {
    "the system chooses both ports": "server: {listen: '127.0.0.1:0'}\nadmin: {listen: '[::1]:0'}",
    "one port, two addresses": "admin: {listen: '127.0.0.2:4000'}",
    "keys from anywhere": f"server: {{listen: '0.0.0.0:4000'}}\n"
    f"auth: {{keys: [{{user: a, key: {KEY}}}]}}",
    "open from anywhere": "server: {listen: '0.0.0.0:4000'}\nauth: {mode: open}",
    "none on a socket": "server: {listen: 'unix:/g'}\nauth: {mode: none}",
    "a fallback that the sole upstream may have": "models: {a: {fallbacks: [b]}}",
    "everything falls back on one": "models: {'*': {fallbacks: [gpt-4o-mini]}}",
    "two ways to one fallback": "models: {a: {fallbacks: [b, c]}, b: {fallbacks: [c]}}",
    "two keys of one user": f"auth: {{keys: [{{user: a, key: {KEY}}}, "
    f"{{user: a, sha256: {DIGEST}}}]}}",
}


@pytest.mark.parametrize("case", KEPT)
def test_a_kept_rule(tmp_path: Path, case: str) -> None:
    """What can be meant is taken."""
    loaded(tmp_path, f"{LOCAL}{KEPT[case]}")


PASSING = {
    "azure": "kind: azure, base_url: 'https://a.openai.azure.com', api_version: v, api_key: k",
    "OpenAI with a header": "base_url: 'https://api.openai.com/v1', headers: {authorization: k}",
    "OpenAI with the client's key": "base_url: 'https://api.openai.com/v1', auth: passthrough",
    "an engine without a key": "base_url: 'http://10.0.0.1:8000/v1'",
    "a header beside the key": "base_url: 'https://a/v1', api_key: k, headers: {x-team: a}",
}


@pytest.mark.parametrize("case", PASSING)
def test_an_upstream_that_can_be_asked(tmp_path: Path, case: str) -> None:
    """Each way to give credentials, or to need none, is taken."""
    loaded(tmp_path, upstream(PASSING[case]))


@pytest.mark.parametrize(
    ("listen", "url", "same"),
    [
        ("127.0.0.1:4000", "http://127.0.0.1:4000/v1", True),
        ("127.0.0.1:4000", "http://localhost:4000/v1", True),
        ("127.0.0.1:4000", "http://LOCALHOST.:4000/v1", True),
        ("127.0.0.1:4000", "http://127.9.9.9:4000/v1", True),
        ("127.0.0.1:4000", "http://[::1]:4000/v1", True),
        ("127.0.0.1:4000", "http://[::ffff:127.0.0.1]:4000/v1", True),
        ("127.0.0.1:4000", "http://0.0.0.0:4000/v1", True),
        ("[::1]:80", "http://localhost/v1", True),
        ("0.0.0.0:4000", "http://127.0.0.1:4000/v1", True),
        ("10.0.0.1:4000", "http://10.0.0.1:4000/v1", True),
        ("10.0.0.1:4000", "http://127.0.0.1:4000/v1", False),
        ("127.0.0.1:4000", "http://127.0.0.1:4001/v1", False),
        ("127.0.0.1:4000", "http://10.0.0.1:4000/v1", False),
        ("unix:/g", "http://127.0.0.1:4000/v1", False),
    ],
)
def test_the_gateway_is_not_its_own_upstream(
    tmp_path: Path, listen: str, url: str, same: bool
) -> None:
    """An upstream that is the gateway is noticed in every spelling of this machine."""
    text = f"server: {{listen: '{listen}'}}\nauth: {{mode: open}}\n{upstream(f'base_url: {url!r}')}"

    if not same:
        loaded(tmp_path, text)
        return
    (problem,) = problems(tmp_path, text)
    assert problem.startswith("config.yaml:3: upstreams[0].base_url: this is the gateway itself")


def test_a_broken_section_silences_only_its_own_rules(tmp_path: Path) -> None:
    """A typing mistake in one section hides no mistake between others, and makes up none."""
    text = (
        "upstreams: [{name: u, base_url: 5}]\n"
        "models: {a: {fallbacks: [a], targets: [{upstream: u}]}}\n"
        "auth: {mode: keys}\n"
    )

    assert problems(tmp_path, text) == [
        "config.yaml:1: upstreams[0].base_url: expected a URL such as https://api.openai.com/v1",
        "config.yaml:2: models.a.fallbacks: they lead in a circle: a → a",
        "config.yaml:3: auth.mode: there are no keys: nobody could call",
    ]


def test_the_entry_of_a_model() -> None:
    """A name's own entry goes first, then the first glob that matches it, letters as they are."""
    exact, first, second = Model(context_window=1), Model(context_window=2), Model()
    models = {"gpt-*": first, "*": second, "gpt-4o": exact}

    assert entry_of(models, "gpt-4o") is exact
    assert entry_of(models, "gpt-5") is first
    assert entry_of(models, "GPT-5") is second
    assert entry_of({"gpt-*": first}, "o3") is None
    assert matches(["a*", "o?"], "o3")
    assert not matches([], "o3")


def test_who_serves_a_model(tmp_path: Path) -> None:
    """A model is certainly missing only where every upstream says what it has."""
    config = loaded(tmp_path, f"{TWO}models: {{c: {{targets: [{{upstream: a}}]}}, d: {{}}}}")

    assert [served(config, name) for name in ("a-1", "b-1", "c", "d", "e")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert served(loaded(tmp_path, LOCAL), "e")
