"""The app under test: it has a model write headlines."""

from openai import OpenAI


def headline(article: str) -> str:
    """Return a headline of at most eight words."""
    reply = OpenAI().chat.completions.create(
        model="gpt-4o-mini",
        temperature=0,
        messages=[
            {"role": "system", "content": "Write a headline of at most eight words."},
            {"role": "user", "content": article},
        ],
    )
    return reply.choices[0].message.content.strip().strip('"')
