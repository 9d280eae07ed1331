"""Families count under labels, in cells that may be kept; labels are bounded."""

from gateway.metric_families import OTHER, Bounded, Counter, Gauge, Histogram


def test_label_values_are_bounded() -> None:
    """Names beyond the number, or never admitted, are `other`."""
    label = Bounded(2)
    label.admit(["a", "b", "c"])

    assert [label(name) for name in ("a", "b", "c", "hostile", None)] == [
        "a",
        "b",
        OTHER,
        OTHER,
        OTHER,
    ]


def test_a_value_that_was_known_stays_known() -> None:
    """A smaller bound lets nobody new in, and takes nobody's series away."""
    label = Bounded(2)
    label.admit(["a", "b"])
    label.limit = 1
    label.admit(["c"])

    assert [label(name) for name in ("a", "b", "c")] == ["a", "b", OTHER]


def test_a_kept_cell_is_the_series() -> None:
    """Adding by labels and adding to the cell that was kept come to one number."""
    counter = Counter("calls_total", "Calls.", ("user",))
    cell = counter.cell(("alice",))
    cell.value += 2
    counter.add(("alice",))

    assert counter.values == {("alice",): 3}


def test_what_is_read_elsewhere_stands_beside_what_is_counted() -> None:
    """A family may have series of both kinds; what is read now is the newer word."""
    gauge = Gauge("up", "Up.", ("name",))
    gauge.set(("a",), 1)
    gauge.read = lambda: {("b",): 0}

    assert gauge.values == {("a",): 1, ("b",): 0}
    assert {sample.labels["name"]: sample.value for sample in gauge.collect().samples} == {
        "a": 1,
        "b": 0,
    }


def test_a_histogram_counts_each_value_once() -> None:
    """A value on a bound belongs below it, one above all of them in the last bucket."""
    histogram = Histogram("seconds", "Seconds.", (), (1.0, 2.0))
    for value in (1.0, 1.5, 3.0):
        histogram.observe((), value)

    assert histogram.series(()).counts == [1, 1, 1]
    assert histogram.count(()) == 3
    assert [s.value for s in histogram.collect().samples] == [1, 2, 3, 3, 5.5]
