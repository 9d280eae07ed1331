"""Items go to a thread in batches, in order, each once; the caller never waits."""

import threading

from gateway.batching import Batches


def test_items_arrive_in_order_in_batches() -> None:
    """What was put is handed on whole by the time that `stop` returns; waking the thread is not paid for each item."""
    got: list[list[int]] = []

    def flush(items: list[int]) -> bool:
        got.append(items)
        return False

    batches = Batches("test", 0.05, 1000, flush)
    for number in range(100):
        batches.put(number)
    batches.stop()

    assert [number for batch in got for number in batch] == list(range(100))
    assert len(got) < 100


def test_items_that_nobody_takes_are_dropped_and_counted() -> None:
    """Above the bound the newest are dropped: memory and time are not."""
    standing = threading.Event()
    got: list[int] = []

    def flush(items: list[int]) -> bool:
        standing.wait()
        got.extend(items)
        return False

    batches = Batches("test", 0.0, 10, flush)
    for number in range(100):
        batches.put(number)
    standing.set()
    batches.stop()

    assert got == list(range(len(got)))
    assert batches.dropped == 100 - len(got) >= 80


def test_what_is_left_is_tried_again() -> None:
    """A flush that is not done is called again though nothing more was put."""
    calls: list[list[int]] = []
    done = threading.Event()

    def flush(items: list[int]) -> bool:
        calls.append(items)
        if len(calls) == 3:
            done.set()
        return len(calls) < 3

    batches = Batches("test", 0.001, 10, flush)
    batches.put(1)

    assert done.wait(10)
    batches.stop()
    assert calls[:3] == [[1], [], []]


def test_one_that_was_never_used_costs_no_thread() -> None:
    """The thread begins with the first item."""
    before = threading.active_count()
    batches: Batches[int] = Batches("test", 0.05, 10, lambda _: False)

    assert threading.active_count() == before
    batches.stop()
