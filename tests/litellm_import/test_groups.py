"""Names of LiteLLM's: shares, orders, aliases and fallbacks."""

from pathlib import Path

import pytest

from tests.support.litellm import imported

THREE = """\
model_list:
  - {model_name: a, litellm_params: {model: groq/a}}
  - {model_name: b, litellm_params: {model: groq/b}}
  - {model_name: c, litellm_params: {model: groq/c}}
"""


def models(folder: Path, text: str) -> tuple[dict[str, object], list[str]]:
    """Return the models that a configuration becomes, and the notes."""
    sections, notes = imported(folder, text)
    found = sections["models"]
    assert isinstance(found, dict)
    return found, notes


def fallbacks(found: dict[str, object]) -> dict[str, object]:
    """Return each name's fallbacks."""
    return {
        name: entry["fallbacks"]
        for name, entry in found.items()
        if isinstance(entry, dict) and "fallbacks" in entry
    }


@pytest.mark.parametrize(
    ("first", "second", "weights"),
    [
        ("weight: 9", "weight: 1", [9.0, 1.0]),
        ("rpm: 60000", "rpm: 600", [1000.0, 10.0]),
        ("tpm: 100", "rpm: 5", [100.0, 0.001]),
        ("weight: 2, rpm: 7", "weight: 1, rpm: 7", [2.0, 1.0]),
        ("rpm: 7", "rpm: 7", [None, None]),
        ("order: 1", "order: 1", [None, None]),
    ],
)
def test_shares(tmp_path: Path, first: str, second: str, weights: list[float | None]) -> None:
    """Deployments of a name share its calls by weight, else by requests, else by tokens a minute."""
    found, _ = models(
        tmp_path,
        "model_list:\n"
        f"  - {{model_name: m, litellm_params: {{model: groq/a, {first}}}}}\n"
        f"  - {{model_name: m, litellm_params: {{model: groq/b, {second}}}}}\n",
    )

    entry = found["m"]
    assert isinstance(entry, dict)
    assert [target.get("weight") for target in entry["targets"]] == weights


def test_an_order(tmp_path: Path) -> None:
    """Deployments of a later order are a name of their own, to which calls fall back."""
    found, notes = models(
        tmp_path,
        "model_list:\n"
        "  - {model_name: m, litellm_params: {model: groq/b, order: 2}}\n"
        "  - {model_name: m, litellm_params: {model: groq/a, order: 1}}\n"
        "litellm_settings: {fallbacks: [{m: [z]}]}\n",
    )

    assert found == {
        "m": {"targets": [{"upstream": "groq", "model": "a"}], "fallbacks": ["m.order-2"]},
        "m.order-2": {"targets": [{"upstream": "groq", "model": "b"}]},
    }
    assert notes == [
        "2: model_list[0].litellm_params: differs: as its `order` says it comes later, as m.order-2",
        "4: litellm_settings.fallbacks[0].m: carried over in part: no way to z",
    ]


def test_the_closest_pattern_goes_first(tmp_path: Path) -> None:
    """Ours are read in order: names before globs, long globs before short ones."""
    found, _ = models(
        tmp_path,
        "model_list:\n"
        "  - {model_name: '*', litellm_params: {model: '*'}}\n"
        "  - {model_name: 'gpt-*', litellm_params: {model: 'openai/gpt-*'}}\n"
        "  - {model_name: b, litellm_params: {model: groq/b}}\n",
    )

    assert list(found) == ["b", "gpt-*", "*"]


def test_aliases(tmp_path: Path) -> None:
    """An alias has the targets and the fallbacks of its model, also where a pattern serves that."""
    found, notes = models(
        tmp_path,
        THREE + "  - {model_name: 'gpt-*', litellm_params: {model: 'openai/gpt-*'}}\n"
        "router_settings:\n"
        "  model_group_alias: {x: a, y: {model: gpt-4o, hidden: true}, z: nobody, b: c}\n"
        "  fallbacks: [{a: [b]}]\n",
    )

    assert found["x"] == {"targets": [{"upstream": "groq", "model": "a"}], "fallbacks": ["b"]}
    assert found["y"] == {"targets": [{"upstream": "openai", "model": "gpt-4o"}]}
    assert notes == [
        "7: router_settings.model_group_alias.y.hidden: not carried over: every name is shown in /v1/models",
        "7: router_settings.model_group_alias.z: not carried over: nothing serves it",
        "7: router_settings.model_group_alias.b: not carried over: a model has this name",
    ]


def test_fallbacks(tmp_path: Path) -> None:
    """They stand in LiteLLM's order; those by default are for names without any of their own."""
    found, notes = models(
        tmp_path,
        THREE + "litellm_settings: {fallbacks: [{a: [c, b]}], default_fallbacks: [c, nobody]}\n",
    )

    assert fallbacks(found) == {"a": ["c", "b"], "b": ["c"]}
    assert notes == [
        "5: litellm_settings.default_fallbacks: carried over in part: no way to nobody"
    ]


def test_fallbacks_of_any_name(tmp_path: Path) -> None:
    """LiteLLM's `*` among fallbacks is for every name without any of its own."""
    found, _ = models(tmp_path, THREE + "router_settings: {fallbacks: [{'*': [a]}, {c: [b]}]}\n")

    assert fallbacks(found) == {"b": ["a"], "c": ["b"]}


def test_a_circle_ends(tmp_path: Path) -> None:
    """Names that fall back to each other keep doing so, each once: the way back leads no further."""
    found, _ = models(tmp_path, THREE + "router_settings: {fallbacks: [{a: [b]}, {b: [a]}]}\n")

    assert fallbacks(found) == {"a": ["b"], "b": ["a.alone"]}
    assert found["a.alone"] == {"targets": [{"upstream": "groq", "model": "a"}]}


def test_fallbacks_of_a_name_that_a_pattern_serves(tmp_path: Path) -> None:
    """It gets an entry of its own, so that no other name falls back with it."""
    found, notes = models(
        tmp_path,
        "model_list:\n"
        "  - {model_name: 'gpt-*', litellm_params: {model: 'openai/gpt-*'}}\n"
        "router_settings: {fallbacks: [{gpt-4o: [gpt-4o-mini]}]}\n",
    )

    assert found == {
        "gpt-*": {"targets": [{"upstream": "openai"}]},
        "gpt-4o": {"targets": [{"upstream": "openai"}], "fallbacks": ["gpt-4o-mini"]},
    }
    assert notes == []


def test_sizes_that_differ_are_told(tmp_path: Path) -> None:
    """Of several deployments' sizes those of the first hold."""
    found, notes = models(
        tmp_path,
        "model_list:\n"
        "  - {model_name: m, litellm_params: {model: groq/a}, model_info: {max_input_tokens: 10}}\n"
        "  - {model_name: m, litellm_params: {model: groq/b}, model_info: {max_input_tokens: 20}}\n",
    )

    entry = found["m"]
    assert isinstance(entry, dict)
    assert entry["context_window"] == 10
    assert notes == [
        "3: model_list[1].litellm_params: differs: sizes and price are those of the first of its name"
    ]


def test_a_circle_of_names_that_only_a_list_knows(tmp_path: Path) -> None:
    """Where an upstream serves what it lists, the way back cannot be written, which is told."""
    found, notes = models(
        tmp_path,
        "model_list: [{model_name: groq/*, litellm_params: {model: groq/*}}]\n"
        "router_settings: {fallbacks: [{a: [b]}, {b: [a]}]}\n",
    )

    assert found == {"a": {"fallbacks": ["b"]}, "b": {}}
    assert notes[1:] == ["2: router_settings.fallbacks[1].b: carried over in part: no way to a"]
