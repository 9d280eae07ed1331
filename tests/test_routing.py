"""Where a call goes: names, aliases, weights, fallbacks, cool-downs."""

from collections import Counter

from gateway.routing import MAX_SETTLED, ModelRoute, Router, UpstreamRoute
from gateway.types import Target
from tests.support.clock import FakeClock


def target(upstream: str, model: str | None = None, weight: float = 1.0) -> Target:
    return Target(upstream=upstream, model=model, weight=weight)


def router(
    *models: ModelRoute,
    upstreams: tuple[UpstreamRoute, ...] = (UpstreamRoute(name="a"), UpstreamRoute(name="b")),
    listed: dict[str, set[str]] | None = None,
    clock: FakeClock | None = None,
    draws: list[float] | None = None,
) -> Router:
    known = listed or {}
    return Router(
        models=models,
        upstreams=upstreams,
        clock=clock or FakeClock(),
        listed=lambda upstream, model: model in known[upstream] if upstream in known else None,
        uniform=(lambda: draws.pop(0)) if draws else (lambda: 0.5),
    )


def test_a_sole_upstream_takes_everything() -> None:
    """With one upstream every name goes there as it is."""
    sole = router(upstreams=(UpstreamRoute(name="only"),))

    assert sole.targets("anything/at:all") == (target("only", "anything/at:all"),)
    assert sole.targets(None) == (target("only"),)


def test_names_that_clients_make_up_are_forgotten_again() -> None:
    """What is remembered of a sole upstream's models is right, however many names come, and does not grow with them."""
    sole = router(upstreams=(UpstreamRoute(name="only"),))

    for number in range(2 * MAX_SETTLED):
        assert sole.targets(f"m{number}") == (target("only", f"m{number}"),)
        assert sole.targets(f"m{number}") == (target("only", f"m{number}"),)
    assert len(sole._settled) <= MAX_SETTLED


def test_lists_that_change_are_seen() -> None:
    """A model that one upstream lists is looked up anew at each call: the other may list it by then."""
    lists = {"a": {"m1"}, "b": set[str]()}
    both = router(listed=lists)
    assert both.targets("m1") == (target("a", "m1"),)

    lists["b"].add("m1")

    assert both.targets("m1") == (target("a", "m1"), target("b", "m1"))


def test_globs_of_a_sole_upstream_count() -> None:
    """A sole upstream with globs takes what they name alone."""
    sole = router(upstreams=(UpstreamRoute(name="only", models=("gpt-*",)),))

    assert sole.targets("gpt-4o") == (target("only", "gpt-4o"),)
    assert sole.targets("llama3.2") == ()


def test_lists_decide_between_upstreams() -> None:
    """Several upstreams take what each lists; nobody has an unknown name."""
    both = router(listed={"a": {"m1", "m2"}, "b": {"m2"}})

    assert both.targets("m1") == (target("a", "m1"),)
    assert both.targets("m2") == (target("a", "m2"), target("b", "m2"))
    assert both.targets("m3") == ()


def test_an_alias_names_its_target() -> None:
    """A configured name stands for a model elsewhere; an exact name comes before a glob."""
    aliases = router(
        ModelRoute(name="f*", targets=(target("b"),)),
        ModelRoute(name="fast", targets=(target("a", "gpt-4o-mini"),)),
    )

    assert aliases.targets("fast") == (target("a", "gpt-4o-mini"),)
    assert aliases.targets("foo") == (target("b", "foo"),)


def test_weights_share_calls() -> None:
    """Targets come first in proportion to their weights."""
    shared = Router(
        models=[ModelRoute(name="m", targets=(target("a", "m", 3.0), target("b", "m", 1.0)))],
        upstreams=[UpstreamRoute(name="a"), UpstreamRoute(name="b")],
        clock=FakeClock(),
        listed=lambda *_: None,
    )

    first = Counter(shared.targets("m")[0].upstream for _ in range(4000))

    assert 2800 < first["a"] < 3200


def test_fallbacks_come_in_order_and_once() -> None:
    """Fallbacks follow by name, theirs after them, and a circle ends."""
    routes = router(
        ModelRoute(name="big", targets=(target("a", "big"),), fallbacks=("small", "tiny")),
        ModelRoute(name="small", targets=(target("b", "small-1"),), fallbacks=("big",)),
        ModelRoute(name="tiny", targets=(target("b", "tiny-1"),)),
    )

    assert routes.targets("big") == (
        target("a", "big"),
        target("b", "small-1"),
        target("b", "tiny-1"),
    )


def test_a_failing_target_cools_down_and_comes_back() -> None:
    """After its failures in a row a target comes last; after its time it has its place again."""
    clock = FakeClock()
    routes = router(
        upstreams=(
            UpstreamRoute(name="a", models=("*",), cooldown_after=2, cooldown_seconds=15),
            UpstreamRoute(name="b", models=("*",)),
        ),
        clock=clock,
    )
    first, second = target("a", "m"), target("b", "m")
    routes.failed(first)
    assert routes.targets("m") == (first, second)

    routes.failed(first)

    assert routes.targets("m") == (second, first)
    assert routes.targets("other")[0] == target("a", "other")
    assert routes.up() == {("a", ""): 1, ("b", ""): 1, ("a", "m"): 0}
    clock.advance(15)
    assert routes.targets("m") == (first, second)


def test_an_answer_clears_failures() -> None:
    """Failures count only in a row."""
    routes = router(upstreams=(UpstreamRoute(name="a", cooldown_after=2),))
    only = target("a", "m")
    for _ in range(5):
        routes.failed(only)
        routes.answered(only)

    assert routes.up() == {("a", ""): 1}


def test_the_health_of_what_is_configured_is_shown_from_the_start() -> None:
    """Each upstream and each model's targets have their series before anything failed; a glob has no name there."""
    routes = Router(
        models=(
            ModelRoute(name="fast", targets=(target("a", "x"), target("b"))),
            ModelRoute(name="gpt-*", targets=(target("a"),)),
        ),
        upstreams=(UpstreamRoute(name="a"), UpstreamRoute(name="b")),
        clock=FakeClock(),
        listed=lambda *_: None,
    )

    assert routes.up() == {("a", ""): 1, ("b", ""): 1, ("a", "x"): 1, ("b", "fast"): 1}


def test_remembered_failures_are_bounded() -> None:
    """Hostile names do not grow what is remembered."""
    routes = router(upstreams=(UpstreamRoute(name="a"),))
    for number in range(10_050):
        routes.failed(target("a", f"m{number}"))

    assert len(routes.up()) == 10_000 + 1
