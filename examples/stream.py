"""Show an answer word by word as it is written, and then what it took."""

import sys

from openai import OpenAI

question = " ".join(sys.argv[1:]) or "Say this is a test"

stream = OpenAI().chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": question}],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in stream:
    # The last chunk has no choices: it brings the usage.
    for choice in chunk.choices:
        print(choice.delta.content or "", end="", flush=True)
    if chunk.usage is not None:
        print(f"\n[{chunk.usage.prompt_tokens} + {chunk.usage.completion_tokens} tokens]")
