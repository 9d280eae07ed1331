"""The counter as a whole: golden cases, the memo, threads, and payloads that are malformed in any way."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.tokens import Kind, ModelOverride, ModelTable, TokenCounter
from gateway.tokens.counter import INLINE_CHARACTERS, MAX_COUNTED_CHARACTERS

T = TypeVar("T")

GOLDEN = json.loads(Path(__file__).with_name("data").joinpath("golden.json").read_bytes())
COUNTER = TokenCounter(ModelTable())
KINDS: tuple[Kind, ...] = ("chat", "completions", "embeddings", "responses")


@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])
def test_golden_cases(
    counter: TokenCounter, case: dict[str, str | int | dict[str, object]]
) -> None:
    """Each request of the golden set has its number and certainty; those with a source are the service's own."""
    count = counter.count_now(case["kind"], case["request"], case["model"])  # type: ignore[arg-type]

    assert (count.tokens, count.certainty) == (case["tokens"], case["certainty"])


class Desk:
    """An offload that notes how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, function: Callable[[], T], /) -> "asyncio.Future[T]":
        """Run at once."""
        self.calls += 1
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        done.set_result(function())
        return done


def chat(text: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}]}


async def test_large_requests_leave_the_loop() -> None:
    """A small request is counted where it is asked for, a large one or one of many parts elsewhere."""
    desk = Desk()
    counter = TokenCounter(ModelTable(), encodings=(), offload=desk)

    small = await counter.count("chat", chat("word " * 100), "gpt-4o")
    assert (small.tokens, desk.calls) == (108, 0)
    large = await counter.count("chat", chat("word " * (INLINE_CHARACTERS // 5 + 1)), "gpt-4o")
    assert (large.tokens, large.certainty, desk.calls) == (1647, "exact", 1)
    await counter.count("chat", {"messages": [{}] * 1000}, "gpt-4o")
    assert desk.calls == 2
    assert await counter.count_texts(["a b c", "d"], "gpt-4o") == 4
    assert await counter.count_texts(["word " * INLINE_CHARACTERS], "gpt-4o") == 8193
    assert desk.calls == 3


async def test_what_was_said_is_counted_though_its_client_leaves() -> None:
    """A cancellation while a reply is counted comes after the count, which is owed."""
    threads: list[asyncio.Future[int]] = []

    def slow(function: Callable[[], int], /) -> "asyncio.Future[int]":
        threads.append(asyncio.get_running_loop().create_future())
        return threads[-1]

    counter = TokenCounter(ModelTable(), encodings=(), offload=slow)  # type: ignore[arg-type]
    counted = []

    async def settle() -> None:
        counted.append(await counter.count_texts(["word " * INLINE_CHARACTERS], "gpt-4o"))
        await asyncio.sleep(3600)

    async with asyncio.TaskGroup() as tasks:
        settling = tasks.create_task(settle())
        await asyncio.sleep(0)
        settling.cancel()
        await asyncio.sleep(0)
        threads[0].set_result(8193)

    assert counted == [8193]
    assert settling.cancelled()


def test_texts_beyond_any_window_are_bounded() -> None:
    """What no window holds is not counted: its bytes stand for it."""
    count = COUNTER.count_now("chat", chat("é" * (MAX_COUNTED_CHARACTERS + 1)), "gpt-4o")

    assert count.certainty == "bound"
    assert count.tokens == 3 + 4 + 2 * (MAX_COUNTED_CHARACTERS + 1)


def test_text_without_borders_is_an_estimate() -> None:
    """A count for which a word had to be cut is not called exact."""
    assert COUNTER.count_now("chat", chat(" " * 100_000), "gpt-4o").certainty == "estimate"


def test_a_model_whose_encoding_is_not_loaded_is_estimated() -> None:
    """Without cl100k_base its models are counted by o200k_base, and not called exact."""
    counter = TokenCounter(ModelTable(), encodings=())

    count = counter.count_now("chat", chat("Hello"), "gpt-4")
    assert (count.tokens, count.certainty, count.encoding) == (8, "estimate", "o200k_base")


def test_a_tokenizer_of_the_configuration_decides() -> None:
    """A model that nobody knows is counted as its tokenizer says, and learned of only without one."""
    table = ModelTable([ModelOverride(pattern="mine", tokenizer="cl100k_base")])
    counter = TokenCounter(table)

    named = counter.count_now("chat", chat("Hello"), "mine")
    unknown = counter.count_now("chat", chat("Hello"), "other")
    assert (named.encoding, named.features) == ("cl100k_base", None)
    assert (unknown.encoding, unknown.certainty) == ("o200k_base", "estimate")
    assert unknown.features == (1, 1, 0, 0, 1)


def test_unknown_models_are_calibrated() -> None:
    """After a few replies a model is counted as its upstream counts, with a margin."""
    counter = TokenCounter(ModelTable(), encodings=())
    for words in range(10, 200, 10):
        count = counter.count_now("chat", chat("word " * words), "llama")
        assert count.features is not None
        counter.calibration.observe("llama", count.features, 2 * words + 30)

    count = counter.count_now("chat", chat("word " * 100), "llama")
    assert count.certainty == "estimate"
    assert count.tokens == pytest.approx(230, rel=0.05)
    assert 0 < count.margin < 100


def test_several_inputs_have_a_longest() -> None:
    """Of several inputs each must fit by itself, so the longest is told."""
    payload = {"input": ["one two three", "four"]}

    count = COUNTER.count_now("embeddings", payload, "text-embedding-3-small")
    assert (count.tokens, count.longest) == (4, 3)


@pytest.mark.parametrize("case", GOLDEN, ids=[case["name"] for case in GOLDEN])
def test_the_bound_is_never_below_the_count(case: dict[str, str | dict[str, object]]) -> None:
    """The quick bound holds for each golden case."""
    arguments = case["kind"], case["request"], case["model"]
    bound = COUNTER.bound(*arguments)  # type: ignore[arg-type]

    assert bound.certainty == "bound"
    assert bound.tokens >= COUNTER.count_now(*arguments).tokens  # type: ignore[arg-type]


async def test_trimming_saves_what_it_says() -> None:
    """The chat without the dropped messages counts exactly the tokens fewer, and fits."""
    messages = [{"role": "system", "content": "Be terse."}]
    for turn in range(20):
        call = {"id": "c", "function": {"name": "f", "arguments": f'{{"n": {turn}}}'}}
        messages += [
            {"role": "user", "content": f"Question {turn} " + "word " * 20},
            {"role": "assistant", "tool_calls": [call, call]},  # type: ignore[dict-item]
            {"role": "tool", "tool_call_id": "c", "content": str(turn)},
            {"role": "tool", "tool_call_id": "c", "content": str(turn)},
            {"role": "assistant", "content": "An answer"},
        ]
    payload = {"messages": messages, "tools": [{"type": "function", "function": {"name": "f"}}]}
    before = COUNTER.count_now("chat", payload, "gpt-5").tokens

    trim = await COUNTER.trim(payload, "gpt-5", before, 1000)
    assert trim is not None
    kept = [m for index, m in enumerate(messages) if index not in trim.dropped]
    after = COUNTER.count_now("chat", {**payload, "messages": kept}, "gpt-5").tokens
    assert before - after == trim.tokens
    assert 600 < after <= 800
    assert kept[0] == messages[0]
    assert kept[-5:] == messages[-5:]


# JSON of any shape, with the names that counting looks for.
NAMES = st.sampled_from(
    [
        "messages",
        "role",
        "content",
        "name",
        "tool_calls",
        "function",
        "arguments",
        "id",
        "tool_call_id",
        "tools",
        "parameters",
        "properties",
        "type",
        "items",
        "anyOf",
        "enum",
        "$ref",
        "$defs",
        "required",
        "title",
        "description",
        "default",
        "response_format",
        "json_schema",
        "schema",
        "tool_choice",
        "input",
        "instructions",
        "prompt",
        "image_url",
        "url",
        "detail",
        "input_audio",
        "data",
        "text",
        "refusal",
        "function_call",
        "functions",
        "suffix",
    ]
)
WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "system",
        "tool",
        "function",
        "object",
        "array",
        "string",
        "json_schema",
        "image_url",
        "input_audio",
        "text",
        "none",
        "data:image/png;base64,iVBORw0KGgo=",
        "data:image/jpeg;base64,/9j/4QAA",
        "UklGRgAAAABXQVZF",
        "#",
        "#/properties/a",
        "{}",
        "[",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=40,
)


@given(
    kind=st.sampled_from(KINDS),
    payload=st.dictionaries(NAMES, JSON, max_size=6),
    model=st.sampled_from(["gpt-4o", "gpt-5", "gpt-3.5-turbo-0301", "llama", "", "ft:", "o3-mini"]),
)
@settings(max_examples=400, deadline=None)
def test_no_payload_raises(kind: Kind, payload: dict[str, object], model: str) -> None:
    """Whatever JSON comes, there is a count, and the bound is not below it."""
    count = COUNTER.count_now(kind, payload, model)

    assert count.tokens >= 0
    assert COUNTER.bound(kind, payload, model).tokens >= count.tokens


def nested(depth: int, name: str) -> object:
    value: object = "x"
    for _ in range(depth):
        value = {name: value}
    return value


@pytest.mark.parametrize("name", ["properties", "items", "content", "anyOf"])
def test_deep_payloads_are_counted(name: str) -> None:
    """Depth beyond what Python can follow is an estimate, no error."""
    deep = nested(5_000, name)
    function = {"name": "f", "parameters": {"properties": {"a": deep}}}
    payload = {
        "messages": [{"role": "user", "content": deep}],
        "tools": [{"type": "function", "function": function}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": deep}},
    }

    assert COUNTER.count_now("chat", payload, "gpt-4o").certainty == "estimate"


def test_references_that_multiply_are_bounded() -> None:
    """A schema whose references would double thirty times costs a bounded number of nodes."""
    defs = {
        f"d{n}": {
            "type": "object",
            "properties": {"a": {"$ref": f"#/$defs/d{n + 1}"}, "b": {"$ref": f"#/$defs/d{n + 1}"}},
        }
        for n in range(30)
    }
    parameters = {"type": "object", "properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": defs}
    tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}

    count = COUNTER.count_now("chat", {"messages": [], "tools": [tool]}, "gpt-4o")
    assert count.certainty == "estimate"
    assert count.tokens < 300_000


def test_numbers_too_long_to_write_are_counted() -> None:
    """An integer that Python refuses to write out makes the count an estimate."""
    schema = {"const": 10**5_000}
    payload = {"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}

    assert COUNTER.count_now("chat", payload, "gpt-4o").certainty == "estimate"


turns = st.fixed_dictionaries(
    {
        "role": st.sampled_from(("system", "developer", "user", "assistant", "tool", "poet")),
        "content": st.text("ab ", max_size=9) | st.none(),
    },
    optional={"name": st.just("n")},
)


@given(
    st.lists(turns, max_size=9), st.sampled_from(("gpt-4o", "gpt-4", "gpt-5", "llama", "o3-mini"))
)
def test_a_chat_of_texts_alone_has_the_same_count(
    messages: list[dict[str, object]], model: str
) -> None:
    """The short way and the long one agree, or the short one leaves it."""
    payload = {"messages": messages}

    plain = COUNTER.count_plain(payload, model)
    assert plain in (None, COUNTER.count_now("chat", payload, model))
    texts = all(type(m["content"]) is str and len(m) == 2 for m in messages)
    known = all(m["role"] not in ("tool", "poet") for m in messages)
    assert (plain is not None) == (texts and known)


def test_another_configuration_counts_by_its_own_models() -> None:
    """What was found out under the one before is forgotten."""
    counter = TokenCounter(ModelTable())
    text = "日本語のテキスト"
    assert counter.count_now("chat", chat(text), "mine").encoding == "o200k_base"
    counter.serve(ModelTable([ModelOverride(pattern="mine", tokenizer="cl100k_base")]))
    assert counter.count_now("chat", chat(text), "mine").encoding == "cl100k_base"
