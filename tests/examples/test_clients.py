"""docs/clients.md: its files can be read by what reads them, and its limit holds for each person."""

import json
from pathlib import Path

import aiohttp
import pytest
import yaml

from gateway.demo_upstream import DemoUpstream
from tests.examples.conftest import KEY, Serve
from tests.support.configs import UPSTREAM, loaded
from tests.test_architecture import ROOT
from tests.test_documentation import blocks

PAGE = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")
OURS, *THEIRS = blocks(PAGE, "yaml")


def test_our_configuration_loads(tmp_path: Path) -> None:
    """What the gateway is to be told is a configuration."""
    config = loaded(tmp_path, UPSTREAM + OURS, {"CHAT_APP_KEY": "sk-gw-0123456789abcdef"})

    assert config.auth.end_user_header == "x-end-user"
    assert config.limits[0].per == ("end_user",)


def test_their_files_name_the_gateway() -> None:
    """Each file that a client reads is well-formed, and has the base URL in it."""
    files = [yaml.safe_load(text) for text in THEIRS]
    files += [json.loads(text) for text in blocks(PAGE, "json")]

    assert len(files) == 3
    assert all(":4000/v1" in json.dumps(file) for file in files)


@pytest.mark.parametrize("header", ["x-end-user", "X-OpenWebUI-User-Email"])
async def test_each_person_has_a_limit(serve: Serve, demo: DemoUpstream, header: str) -> None:
    """People behind one key are told apart by the header, which stays here."""
    limit = "limits: [{per: end_user, requests: 1/min}]"
    gateway = await serve(limit, auth=f", end_user_header: {header.lower()}")
    call = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    statuses = []
    async with aiohttp.ClientSession(headers={"authorization": f"Bearer {KEY}"}) as session:
        for person in ("ann@example.com", "ann@example.com", "bob@example.com"):
            url = f"{gateway.url}/chat/completions"
            async with session.post(url, json=call, headers={header: person}) as reply:
                statuses.append(reply.status)

    assert statuses == [200, 429, 200]
    assert header.lower() not in {name.lower() for name, _ in demo.last.headers}
