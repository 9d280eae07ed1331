"""The command line's sums: tokens of requests, and what the usage log says."""

import json
from pathlib import Path

from tests.test_main import run


def test_requests_are_counted(tmp_path: Path) -> None:
    """A number for each request, from a file or standard input; what is no request is told and counts for nothing."""
    chat = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}\n'
    file = tmp_path / "calls.jsonl"
    file.write_bytes(chat + chat)

    assert run("count", str(file)).stdout == b"8\n8\n"
    told = run("count", "--json", stdin=chat + b"nonsense\n")
    assert told.stdout == b'{"tokens": 8, "encoding": "o200k_base", "certainty": "exact"}\n'
    assert told.stderr == b"request 2: no JSON object, or no messages\n"
    assert told.returncode == 1
    assert run("count", "no-such-file").returncode == 2


def test_usage_sums_up(tmp_path: Path) -> None:
    """`usage` reads a log with its older files; what cannot be done is told on one line."""
    log = tmp_path / "usage.jsonl"
    call = {"time": "2027-01-15T08:00:00Z", "user": "alice", "model": "m", "cost_usd": 0.1}
    log.write_text(json.dumps(call) + "\n")
    (tmp_path / "usage.jsonl.1").write_text(json.dumps({**call, "cost_usd": 0.2}) + "\ntorn")

    done = run("usage", str(log), "--by", "user", "--csv")

    assert done.stdout.splitlines()[1] == b"alice,2,0,0,0,0,0,0,0.3"
    assert done.stderr == b"warning: 1 lines are none of a usage log\n"
    assert run("usage", str(log)).stdout.startswith(b"user   model  calls")
    assert run("usage", str(tmp_path / "none")).returncode == 2
    wrong = run("usage", str(log), "--by", "users")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith(b"--by: users: expected some of user, group")
