"""Splices change what they should in a JSON body, and no other byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.splice import insert_member, member, remove_elements, replace_member


@pytest.mark.parametrize(
    ("body", "spliced"),
    [
        (b'{"model":"a"}', b'{"model":"b/c"}'),
        (b' \n{ "model" :\t"a" , "n":1}\r\n', b' \n{ "model" :\t"b/c" , "n":1}\r\n'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"b/c"}'),
        (b'{"n":{"model":"a"},"model":"a"}', b'{"n":{"model":"a"},"model":"b/c"}'),
        (b'{"model":"a","n":[{"model":"a"}]}', b'{"model":"b/c","n":[{"model":"a"}]}'),
        (b'{"a":"\\"model\\":\\"a\\"","model":"a"}', b'{"a":"\\"model\\":\\"a\\"","model":"b/c"}'),
        (b'{"models":"a","Model":"a","model":"a"}', b'{"models":"a","Model":"a","model":"b/c"}'),
        (b'{"a":"model","model":"model"}', b'{"a":"model","model":"b/c"}'),
        (b'{"model":{"model":[]},"a":1}', b'{"model":"b/c","a":1}'),
        (b'{"model":null}', b'{"model":"b/c"}'),
        (b'{"a":"\xf0\x9f\x91\x8d","model":"\xc3\xbc"}', b'{"a":"\xf0\x9f\x91\x8d","model":"b/c"}'),
        (b'{"n":{"model":"a"}}', b'{"n":{"model":"a"}}'),
        (b"{}", b"{}"),
    ],
)
def test_only_the_outermost_member_is_replaced(body: bytes, spliced: bytes) -> None:
    """The member's value is replaced, however its name is spelled; inner members and strings are left alone."""
    assert replace_member(body, "model", b'"b/c"') == spliced


@pytest.mark.parametrize(
    ("indices", "spliced"),
    [
        ((), b'{ "messages" : [ {"a":[1,"]"]} ,\n{}\t, "x,\\"" ,[ ] ] , "n":1 }'),
        ((0,), b'{ "messages" : [ {}\t, "x,\\"" ,[ ] ] , "n":1 }'),
        ((1,), b'{ "messages" : [ {"a":[1,"]"]}\t, "x,\\"" ,[ ] ] , "n":1 }'),
        ((0, 2), b'{ "messages" : [ {} ,[ ] ] , "n":1 }'),
        ((2, 3), b'{ "messages" : [ {"a":[1,"]"]} ,\n{} ] , "n":1 }'),
        ((0, 1, 2), b'{ "messages" : [ [ ] ] , "n":1 }'),
        ((0, 1, 2, 3), b'{ "messages" : [  ] , "n":1 }'),
        ((9,), b'{ "messages" : [ {"a":[1,"]"]} ,\n{}\t, "x,\\"" ,[ ] ] , "n":1 }'),
    ],
)
def test_elements_are_removed(indices: tuple[int, ...], spliced: bytes) -> None:
    """The elements that stay keep their bytes and their place in what stands around them."""
    body = b'{ "messages" : [ {"a":[1,"]"]} ,\n{}\t, "x,\\"" ,[ ] ] , "n":1 }'

    assert remove_elements(body, "messages", indices) == spliced


def test_there_may_be_nothing_to_remove() -> None:
    """An empty list, and a list that is not there, leave the body as it is."""
    assert remove_elements(b'{"messages":[ ]}', "messages", {0}) == b'{"messages":[ ]}'
    assert remove_elements(b'{"a":{"messages":[1]}}', "messages", {0}) == b'{"a":{"messages":[1]}}'


names = st.sampled_from(["model", "messages", "a", 'm"', "é", "mod\\u0065l", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=10,
)
blanks = st.text(" \t\r\n", max_size=3)


@st.composite
def documents(
    draw: st.DrawFn, fixed: dict[str, st.SearchStrategy[object]]
) -> tuple[str, dict[str, object]]:
    """Draw an object and one of the many ways to write it."""
    members = [(name, draw(strategy)) for name, strategy in fixed.items()]
    members += draw(
        st.dictionaries(names.filter(lambda n: n not in fixed), values, max_size=3)
    ).items()
    members = draw(st.permutations(members))

    def write(value: object) -> str:
        before, after = draw(blanks), draw(blanks)
        if isinstance(value, dict):
            pairs = (f"{key(k)}{draw(blanks)}:{write(v)}" for k, v in value.items())
            text = "{" + draw(blanks) + f",{draw(blanks)}".join(pairs) + "}"
        elif isinstance(value, list):
            text = "[" + draw(blanks) + ",".join(map(write, value)) + "]"
        else:
            text = json.dumps(value, ensure_ascii=draw(st.booleans()))
        return before + text + after

    def key(name: str) -> str:
        if name == "model" and draw(st.booleans()):
            return '"\\u006dod\\u0065l"'
        return json.dumps(name)

    document = dict(members)
    return write(document), document


@given(documents({"model": values}))
def test_a_replaced_member_changes_nothing_else(drawn: tuple[str, dict[str, object]]) -> None:
    """The document is the same but for the member, and so are all bytes around its value."""
    text, document = drawn
    body = text.encode()

    spliced = replace_member(body, "model", b'"b/c"')

    assert json.loads(spliced) == {**document, "model": "b/c"}
    before, after = spliced.split(b'"b/c"')
    assert body.startswith(before)
    assert body.endswith(after)
    assert json.loads(body[len(before) : len(body) - len(after)]) == document["model"]


@given(documents({"messages": st.lists(values, max_size=5)}), st.sets(st.integers(0, 5)))
def test_removed_elements_change_nothing_else(
    drawn: tuple[str, dict[str, object]], indices: set[int]
) -> None:
    """The document is the same but for the elements, and what is left stood in the body in that order."""
    text, document = drawn
    messages = document["messages"]
    assert isinstance(messages, list)

    spliced = remove_elements(text.encode(), "messages", indices)

    left = [message for index, message in enumerate(messages) if index not in indices]
    assert json.loads(spliced) == {**document, "messages": left}
    rest = iter(text.encode())
    assert all(byte in rest for byte in spliced)
    if not indices & set(range(len(messages))):
        assert spliced == text.encode()


@pytest.mark.parametrize(
    ("body", "inserted"),
    [
        (b"{}", b'{"n":1}'),
        (b" { \n}", b' {"n":1 \n}'),
        (b'{"a":2}', b'{"n":1,"a":2}'),
        (b' { "a" : {} } ', b' {"n":1, "a" : {} } '),
    ],
)
def test_a_member_is_inserted_before_all_others(body: bytes, inserted: bytes) -> None:
    """What stands in the object stays as it is; a comma divides it where something does."""
    assert insert_member(body, b'"n":1') == inserted


def test_a_member_is_read_as_it_stands() -> None:
    """The outermost member's text is given, None where there is none."""
    body = b'{"a":{"model":1},"model": "x"}'

    assert member(body, "model") == b'"x"'
    assert member(body, "messages") is None
