"""How faults read."""

from gateway.validation_faults import Fault, joined, too_long_name, unsupported, wrong_type


def test_the_path_stands_in_the_text() -> None:
    """Steps into arrays and objects are written as OpenAI writes them."""
    fault = wrong_type("a string", None)
    fault.path = ["messages", 2, "content", 0, "image_url", "url"]
    assert fault.param == "messages[2].content[0].image_url.url"
    assert fault.message == (
        "Invalid type for 'messages[2].content[0].image_url.url': "
        "expected a string, but got null instead."
    )


def test_what_a_client_sent_cannot_pretend_to_be_the_path() -> None:
    """Only the first mark is the path's."""
    fault = Fault("x", "Invalid '{param}': {param}", "a")
    assert fault.message == "Invalid 'a': {param}"


def test_names_are_cut_and_escaped() -> None:
    """A client's own names are as harmless in a path as its words in a text."""
    fault = too_long_name("k" * 1000, 64)
    fault.path = ["metadata", "a\nb" + "c" * 1000]
    assert fault.param == "metadata.a\\nb" + "c" * 61 + "…"
    assert len(fault.message) < 300
    assert unsupported("s" * 1000, ("a", "b")).message == (
        "Invalid value: '" + "s" * 64 + "…'. Supported values are: 'a' and 'b'."
    )


def test_words_are_joined_as_in_english() -> None:
    """One, two, and more of them."""
    assert joined(["a"], "or") == "a"
    assert joined(["a", "b"], "or") == "a or b"
    assert joined(["a", "b", "c"], "or") == "a, b, or c"
