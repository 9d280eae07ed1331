"""What the results say, as Markdown: docs/benchmarks.md is made from its data by this alone."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.cases import CASES
from benchmarks.goals import GOALS, behind
from benchmarks.picture import draw
from benchmarks.results import Results, read, write
from benchmarks.targets import UPSTREAM

DOCS = Path(__file__).parents[1] / "docs"
DATA = DOCS / "benchmarks.json"
PAGE = DOCS / "benchmarks.md"
PICTURE = DOCS / "images" / "benchmarks.svg"

# A column of a table: its head, and what it says of a target.
Column = tuple[str, Callable[[str], str]]


def publish(found: Results) -> None:
    """Write the page, its picture and the data that both are made from."""
    write(found, DATA)
    made = read(DATA)
    PICTURE.write_text(draw(made), encoding="utf-8")
    PAGE.write_text(page(made), encoding="utf-8")


def main() -> int:
    """Print the report of a run that was kept, or publish it; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("file", type=Path, help="such as docs/benchmarks.json")
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks.md and more")
    options = parser.parse_args()
    found = read(options.file)
    print(markdown(found))
    if options.publish:
        publish(found)
    return 0


def page(found: Results) -> str:
    """Return docs/benchmarks.md."""
    return (
        "<!-- Made by `make bench PEERS=all ARGS=--publish` from benchmarks.json. -->\n\n"
        f"# Benchmarks\n\n{markdown(found)}"
    )


def markdown(found: Results) -> str:
    """Return the report."""
    sections = (
        ("", _introduction),
        ("Goals", _goals),
        ("CPU per request", _requests),
        ("Streams", _streams),
        ("Added latency", _latency),
        ("Start, memory, size", _footprint),
        ("Hostile and heavy neighbours", _neighbours),
        ("Where others are ahead", _ahead),
        ("Who was measured", _who),
        ("On what", _around),
    )
    return "\n".join(
        f"{f'## {title}' if title else ''}\n\n{write(found)}".lstrip("\n")
        for title, write in sections
    )


def _introduction(found: Results) -> str:
    return (
        f"Measured {found.when} by one run, {found.surroundings['rounds']} a figure, on "
        f"{found.surroundings['processor']}, all targets in turn; how, and how to repeat it, stands in "
        "[benchmarks/README.md](../benchmarks/README.md), every single value in "
        "[benchmarks.json](benchmarks.json).\n"
        "The gateway has every feature on; what the others do not do stands below, beside their names.\n"
        "CPU is the target's own, by the kernel's accounting. Values are medians of the rounds, with "
        "the least and the most in parentheses.\n\n"
        "![CPU per request and per chunk of a stream](images/benchmarks.svg)\n"
    )


def _goals(found: Results) -> str:
    rows = []
    for goal in GOALS:
        value = goal.value(found)
        reached = "not measured" if value is None else goal.show(value)
        verdict = "" if value is None else ("yes" if value <= goal.limit else "**no**")
        if goal.at_least and value is not None:
            verdict = "yes" if value >= goal.limit else "**no**"
        rows.append([goal.name, goal.wanted, reached, verdict])
    return _rows(["figure", "goal", "here", "reached"], rows)


def _requests(found: Results) -> str:
    cases = [
        case.name
        for case in CASES
        if case.rate is None and found.values(f"{case.name}, cpu", "gateway")
    ]
    costs = [(f"{name}, µs", _cost(found, f"{name}, cpu", "nginx")) for name in cases]
    rates = [(name, _plain(found, f"{name}, per second", "{:,.0f}")) for name in cases]
    return (
        f"{_table(found, costs, extra=('gateway, limits in Redis',))}"
        "\n× is the multiple of nginx's CPU, the median of the rounds' ratios. "
        '"Asked again" are equal calls, which who has a cache answers from it.\n\n'
        f"What one core answers a second, loaded as fast as it goes:\n\n{_table(found, rates)}"
    )


def _streams(found: Results) -> str:
    columns: list[Column] = []
    for case in CASES:
        if case.rate is not None:
            name = case.name
            columns.append((f"{name}: CPU µs a chunk", _cost(found, f"{name}, cpu", "nginx")))
            columns.append(
                (f"{name}: added delay p50, ms", _added(found, f"{name}, event p50", 1e3))
            )
            columns.append((f"{name}: p99, ms", _added(found, f"{name}, event p99", 1e3)))
    columns += [
        ("held at 20 chunks/s", _plain(found, "streams held", "{:,.0f}")),
        ("KiB a stream", _plain(found, "memory per stream", "{:.1f}")),
    ]
    slower = [one.name for one in found.targets if one.slower > 1]
    paced = [f"{case.rate}/s in {case.name}" for case in CASES if case.rate is not None]
    note = f"Chunks of 300 bytes come at {' and '.join(paced)}"
    note += f"; at a tenth of that through {' and '.join(slower)}" if slower else ""
    return (
        _table(found, columns)
        + f"\n{note}. Each chunk carries the time at which the upstream sent it; the delay is what "
        "lies between that and the client's reading, less what it is without a gateway. "
        "Streams are held while their chunks come, 99 of 100 within 100 ms.\n"
    )


def _latency(found: Results) -> str:
    figures = (
        ("one at a time, p50", "one at a time: p50"),
        ("one at a time, p99", "p99"),
        ("at 30/s, p50", "at 30 a second: p50"),
        ("at 30/s, p99", "p99"),
        ("first event, p50", "first event of a stream: p50"),
    )
    columns = [(f"{head}, ms", _added(found, figure)) for figure, head in figures]
    return _table(found, columns) + "\nMilliseconds beyond those of asking the upstream directly.\n"


def _footprint(found: Results) -> str:
    sizes = {one.name: one for one in found.targets}

    def size(name: str) -> str:
        one = sizes.get(name)
        return "" if one is None or one.size_mb is None else f"{one.size_mb:,.0f}"

    def packages(name: str) -> str:
        one = sizes.get(name)
        return "" if one is None or one.packages is None else str(one.packages)

    columns: list[Column] = [
        ("start to first answer, s", _plain(found, "start to first answer", "{:.2f}")),
        ("idle, MiB", _plain(found, "idle memory", "{:.0f}")),
        ("after load, MiB", _plain(found, "memory after load", "{:.0f}")),
        ("installed, MB", size),
        ("packages", packages),
    ]
    return _table(found, columns) + "\nInterpreters (Python, Node) are not counted in the size.\n"


def _neighbours(found: Results) -> str:
    columns: list[Column] = [
        ("small calls alone: p99, ms", _plain(found, "small calls alone, p99", "{:.2f}")),
        ("beside prompts of 45,000 tokens: p99, ms", _plain(found, HEAVY, "{:.2f}")),
        ("longest wait beside 2 MB of malice, ms", _plain(found, HOSTILE, "{:.1f}")),
        ("beside a scrape of 10,000 series, ms", _plain(found, SCRAPE, "{:.1f}")),
        ("without it, ms", _plain(found, "longest wait without a scrape", "{:.1f}")),
    ]
    return (
        _table(found, columns)
        + "\nSmall calls are made one at a time, 100 a second, and ten of the large ones a second. "
        "The malice is empty lists, depth, keys, digits, one letter, blanks and Chinese.\n"
    )


HEAVY = "small calls beside 45,000 tokens, p99"
HOSTILE = "longest wait beside 2 MB"
SCRAPE = "longest wait beside a scrape"


def _ahead(found: Results) -> str:
    lines = [
        f"- {figure}: {', '.join(f'{name} {value}' for name, value in better)}; the gateway {own}\n"
        for figure, own, better in behind(found)
    ]
    if not lines:
        return "No peer is ahead in CPU, latency, memory per stream or start.\n"
    return (
        "Peers that need less than the gateway; what each saves by not doing it stands beside its "
        "name below.\n\n" + "".join(lines)
    )


def _who(found: Results) -> str:
    lines = []
    for one in found.targets:
        changes = "" if one.exact else "; it changes the bytes of replies"
        version = f" {one.version}" if one.version else ""
        lines.append(f"- **{one.name}**{version}: {one.note}{changes}.\n")
    lines += [f"- {name} is left out: {why}\n" for name, why in found.left_out.items()]
    lines += [f"- No value of {what}: {why}\n" for what, why in found.failed.items()]
    return "".join(lines)


def _around(found: Results) -> str:
    return "".join(f"- {name}: {value}\n" for name, value in found.surroundings.items())


def _cost(found: Results, figure: str, yardstick: str) -> Callable[[str], str]:
    def say(name: str) -> str:
        values = found.values(figure, name)
        if not values:
            return ""
        least, most = _number(min(values)), _number(max(values))
        ratio = found.ratio(figure, name, yardstick)
        times = f" · {ratio:.2f} ×" if ratio is not None and name != yardstick else ""
        return f"{_number(found.median(figure, name) or 0)} ({least}–{most}){times}"

    return say


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def _plain(found: Results, figure: str, form: str) -> Callable[[str], str]:
    def say(name: str) -> str:
        value = found.median(figure, name)
        return "" if value is None else form.format(value)

    return say


def _added(found: Results, figure: str, divisor: float = 1) -> Callable[[str], str]:
    def say(name: str) -> str:
        value = found.added(figure, name)
        return "" if value is None else f"{value / divisor:.2f}"

    return say


def _table(found: Results, columns: Sequence[Column], extra: Sequence[str] = ()) -> str:
    """Return a table of the targets, those without any value left out."""
    names = [UPSTREAM.name, *(one.name for one in found.targets), *extra]
    rows = []
    for name in names:
        said = [say(name) for _, say in columns]
        if any(said):
            rows.append([name, *said])
    return _rows(["", *(head for head, _ in columns)], rows)


def _rows(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
