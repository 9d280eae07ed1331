"""Talk on and on in a window of 4,096 tokens: what no longer fits is summed up, the oldest turns first.

It counts nothing itself: the gateway knows the window, refuses what is too long before it is paid for, and says what
each answer took.
"""

import sys

import openai
from openai.types.chat import ChatCompletion

MODEL = "gpt-3.5-turbo"
# What is kept free for an answer.
ANSWER_TOKENS = 500

client = openai.OpenAI()


def ask(summary: str, turns: list[dict]) -> ChatCompletion | None:
    """Return the reply to the last turn; None where they do not fit into the window."""
    system = "You are a helpful assistant."
    if summary:
        system += f" What was said before: {summary}"
    try:
        return client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "system", "content": system}, *turns],
            max_tokens=ANSWER_TOKENS,
        )
    except openai.BadRequestError as error:
        if error.code == "context_length_exceeded":
            return None
        raise


def summed_up(summary: str, turns: list[dict]) -> str:
    """Return what is remembered of turns; nothing where even they do not fit."""
    request = {"role": "user", "content": "Sum up our conversation so far in five sentences."}
    reply = ask(summary, [*turns, request])
    return reply.choices[0].message.content if reply else ""


def main() -> None:
    """Answer each line of the input."""
    summary, turns = "", []
    for line in sys.stdin:
        turns.append({"role": "user", "content": line.strip()})
        while not (reply := ask(summary, turns)) and (summary or len(turns) > 1):
            # Half of the pairs of question and answer, of one the whole; without any, the summary goes.
            older = (len(turns) // 2 + 1) // 2 * 2
            summary = summed_up(summary, turns[:older]) if older else ""
            turns = turns[older:]
            print(f"[summed up: {older // 2} questions and their answers]")
        if reply:
            answer = reply.choices[0].message.content
            turns.append({"role": "assistant", "content": answer})
            print(f"{answer}\n[{reply.usage.total_tokens} tokens]")
        else:
            turns.pop()
            print("[too long for this model]")


if __name__ == "__main__":
    main()
