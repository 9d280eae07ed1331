"""How each kind of upstream wants to be asked: pure functions of a call, no I/O. One file per kind."""

from typing import Protocol

from gateway.types import Call, Headers, Target, UpstreamRequest


class Upstream(Protocol):
    """One configured upstream."""

    @property
    def name(self) -> str:
        """What the configuration calls it."""

    def request(self, call: Call, target: Target, headers: Headers) -> UpstreamRequest:
        """Return what to send for `call`; `headers` are those of the client that may cross."""
