"""What is owed of calls that outlast the grace at the gateway's end."""

import json
from pathlib import Path

import pytest

from tests.support.gateway import RawClient, RawReply, running
from tests.support.raw_upstream import STREAM_HEAD, chunked, raw_upstream, say

ASKING = b'{"model":"demo","messages":[{"role":"user","content":"hi"}],"stream":true,"seed":1}'
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
CONFIG = """
server: {{listen: "127.0.0.1:0", shutdown_grace: 100ms}}
admin: {{listen: "127.0.0.1:0"}}
upstreams: [{{name: up, base_url: "{url}/v1"}}]
models: {{demo: {{price: {{input: 1000, output: 1000}}}}}}
usage: {{log: {{path: {folder}/usage.jsonl}}}}
limits: [{{per: global, budget: 0.02/day}}]
"""
SHARED = "cache: {{}}\n"
FILE = "store: {{url: 'file://{folder}/state'}}\n"


async def reply_to(client: RawClient, body: bytes) -> RawReply:
    client.request("POST", "/v1/chat/completions", body)
    return await client.reply()


@pytest.mark.parametrize("more", ["", SHARED, FILE, FILE + SHARED])
@pytest.mark.parametrize("words", [20, 10_000])
async def test_a_call_that_is_cut_at_the_end_is_paid(tmp_path: Path, more: str, words: int) -> None:
    """What passed of it stands in the usage log, however long; a budget on file has less left at the next start."""
    event = chunked(EVENT % (b"word " * words), end=False)
    async with raw_upstream(say(STREAM_HEAD, event, then="hang")) as upstream:
        config = (CONFIG + more).format(url=upstream.url, folder=tmp_path)
        async with running(config, tmp_path) as gateway:
            client = await RawClient.connect(gateway)
            client.request("POST", "/v1/chat/completions", ASKING)
            await client.head()
            await client.reader.readuntil(b'word "')
        await client.aclose()
        (line,) = [json.loads(line) for line in (tmp_path / "usage.jsonl").read_text().splitlines()]
        assert line["status"] == 499
        assert line["output_tokens"] > words

        if more.startswith(FILE):
            async with running(config, tmp_path) as gateway:
                client = await RawClient.connect(gateway)
                refused = await reply_to(client, ASKING)
                await client.aclose()
            assert json.loads(refused.body)["error"]["code"] == "insufficient_quota"
