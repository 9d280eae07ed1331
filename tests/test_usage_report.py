"""The usage log summed up: exact money, every file once, names that cannot do harm."""

import json
from pathlib import Path

from gateway.usage_report import Report, with_older


def line(user: str | None, model: str, **more: object) -> bytes:
    call = {
        "time": "2027-01-15T08:00:00.250Z",
        "user": user,
        "model": model,
        "input_tokens": 100,
        "cached_input_tokens": 40,
        "output_tokens": 10,
        "reasoning_tokens": 4,
        "estimated": False,
        "cost_usd": 0.1,
    }
    return json.dumps({**call, **more}).encode() + b"\n"


LINES = [
    line("bob", "gpt-4o"),
    line("alice", "gpt-4o"),
    line("alice", "gpt-4o", cost_usd=0.2, time="2027-01-16T00:00:00.000Z"),
    line("alice", "llama", cost_usd=None, estimated=True),
    line(None, "gpt-4o", cost_usd=1e-9),
]


def test_the_table_adds_up() -> None:
    """One line for each group and one for all of them; ten and twenty cents are thirty."""
    report = Report(["user"])
    report.read(LINES)

    assert "\n".join(report.table()) == (
        "user   calls  input_tokens  cached_input_tokens  output_tokens  reasoning_tokens"
        "  estimated_calls  unpriced_calls     cost_usd\n"
        "           1           100                   40             10                 4"
        "                0               0  0.000000001\n"
        "alice      3           300                  120             30                12"
        "                1               1          0.3\n"
        "bob        1           100                   40             10                 4"
        "                0               0          0.1\n"
        "total      5           500                  200             50                20"
        "                1               1  0.400000001"
    )


def test_days_and_months_are_keys() -> None:
    """Time is told by the day or month, in UTC, beside any other key."""
    report = Report(["day", "model"])
    report.read(LINES)
    months = Report(["month"])
    months.read(LINES)

    assert [key for key, _ in sorted(report.groups.items())] == [
        ("2027-01-15", "gpt-4o"),
        ("2027-01-15", "llama"),
        ("2027-01-16", "gpt-4o"),
    ]
    assert list(months.groups) == [("2027-01",)]


def test_csv_is_for_programs() -> None:
    """CSV has the same sums and no total; without keys it is the total alone."""
    report = Report(["user", "model"])
    report.read(LINES[:1])
    whole = Report([])
    whole.read(LINES)

    assert list(report.csv()) == [
        "user,model,calls,input_tokens,cached_input_tokens,output_tokens,reasoning_tokens,"
        "estimated_calls,unpriced_calls,cost_usd",
        "bob,gpt-4o,1,100,40,10,4,0,0,0.1",
    ]
    assert list(whole.csv())[1] == "5,500,200,50,20,1,1,0.400000001"


def test_names_are_no_formulas_and_no_control_characters() -> None:
    """Models are what clients call them: a spreadsheet must not run one, nor a terminal obey it."""
    report = Report(["model"])
    report.read([line("bob", "=cmd|' /C calc'!A0"), line("bob", "\x1b[31m")])

    rows = [row.partition(",")[0] for row in report.csv()]
    assert rows[1:] == ["\\x1b[31m", "'=cmd|' /C calc'!A0"]
    assert all(row.isprintable() for row in report.table())


def test_torn_lines_are_counted() -> None:
    """What is no line of a usage log is left out and told of."""
    report = Report(["user"])
    report.read([LINES[0], b'{"time":"2027\n', b"\n", b"[]\n", b'{"time":1}\n', b"\xff\n"])

    assert (report.total.calls, report.unread) == (1, 4)


def test_older_files_belong_to_their_log(tmp_path: Path) -> None:
    """A log's older files are read with it, the oldest first, and once however often they are named."""
    for name in ("u", "u.1", "u.2", "u.10", "u.old", "u.1.gz", "other.1"):
        (tmp_path / name).touch()

    named = [tmp_path / "u", tmp_path / "u.1", tmp_path / "other.1"]
    assert [path.name for path in with_older(named)] == ["u.10", "u.2", "u.1", "u", "other.1"]
