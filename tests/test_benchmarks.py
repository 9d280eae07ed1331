"""The benchmark's report: made from its data alone, by the rounds' medians."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import report
from benchmarks.goals import behind
from benchmarks.picture import draw
from benchmarks.results import Described, Results, read, write
from benchmarks.samples import Sample

UPSTREAM, NGINX, OWN, PEER = "upstream alone", "nginx", "gateway", "peer"


def results(figure: str, **values: Sequence[float]) -> Results:
    """Return results of one figure: target -> its value in each round."""
    return Results(
        when="2026-01-02 03:04 UTC",
        surroundings={"processor": "one", "rounds": "3 of 2 s"},
        targets=[
            Described(name=name, note="passes on", peer=name == PEER, exact=name != PEER)
            for name in (NGINX, OWN, PEER)
        ],
        left_out={"another": "needs go"},
        failed={},
        samples=[
            Sample(figure=figure, target=name, round=number, value=value)
            for name, found in values.items()
            for number, value in enumerate(found, start=1)
        ],
    )


def test_the_page_and_its_picture_are_made_from_its_data() -> None:
    """docs/benchmarks.md and its picture are what docs/benchmarks.json gives, nothing written by hand."""
    found = read(report.DATA)

    assert report.PAGE.read_text(encoding="utf-8") == report.page(found)
    assert report.PICTURE.read_text(encoding="utf-8") == draw(found)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    """Results survive their file."""
    found = results("0.5 KB, cpu", nginx=[10, 20], gateway=[30, 50])
    write(found, tmp_path / "results.json")

    assert read(tmp_path / "results.json") == found


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """Rounds are compared one by one: 3, 2 and 5 times give 3, where the medians' ratio would be 2."""
    found = results("0.5 KB, cpu", nginx=[10, 20, 30], gateway=[30, 40, 150])

    assert found.median("0.5 KB, cpu", OWN) == 40
    assert found.ratio("0.5 KB, cpu", OWN, NGINX) == 3
    assert found.ratio("0.5 KB, cpu", PEER, NGINX) is None


def test_what_is_added_is_told_less_the_upstreams_own() -> None:
    """Added latency is the excess over the same round's without a gateway."""
    found = results("at 30/s, p50", **{UPSTREAM: (1.0, 2.0, 3.0), OWN: (2.0, 4.0, 9.0)})

    assert found.added("at 30/s, p50", OWN) == 2


def test_a_peer_that_is_ahead_is_named() -> None:
    """The report says in which figures a peer needs less than the gateway, and who was left out."""
    found = results("0.5 KB, cpu", nginx=[10], gateway=[40], peer=[30])

    assert behind(found) == [("0.5 KB, cpu", "40", [("peer", "30")])]
    assert "- 0.5 KB, cpu: peer 30; the gateway 40\n" in report.markdown(found)
    assert "- another is left out: needs go\n" in report.markdown(found)
    assert "- **peer**: passes on; it changes the bytes of replies.\n" in report.markdown(found)


def test_who_is_ahead_is_told_in_the_numbers_of_the_tables() -> None:
    """Latency is what is added, and no number has an exponent."""
    late = results("at 30/s, p50", **{UPSTREAM: [1.0], OWN: [3.0], PEER: [2.0]})
    dear = results("0.5 KB, cpu", **{OWN: [4126], PEER: [3356]})

    assert behind(late) == [("at 30/s, p50", "2", [(PEER, "1")])]
    assert behind(dear) == [("0.5 KB, cpu", "4,126", [(PEER, "3,356")])]


def test_a_goal_is_told_reached_or_not() -> None:
    """Each goal's line has its limit, the value and the verdict."""
    text = report.markdown(results("0.5 KB, cpu", nginx=[10], gateway=[45]))

    assert "| CPU a request, 0.5 KB | ≤ 4.0 × nginx | 4.50 × | **no** |\n" in text
    assert "| memory per open stream | ≤ 16 KiB | not measured |  |\n" in text
