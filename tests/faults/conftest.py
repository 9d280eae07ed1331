"""The fixtures of the journey's dialogues: what may go wrong is told in the same words."""

from tests.journey.conftest import client, connect, demo, start

__all__ = ["client", "connect", "demo", "start"]
