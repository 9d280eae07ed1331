"""Replies that the gateway makes itself, and the header fields that it adds to those it relays."""

import email.utils
from functools import lru_cache

from gateway.clock import Clock
from gateway.downstream import Downstream, error_reply
from gateway.errors import GatewayError
from gateway.types import Headers, Record


@lru_cache(maxsize=1)
def http_date(seconds: int) -> bytes:
    """Return a `date` field's value for a time in seconds since 1970."""
    return email.utils.formatdate(seconds, usegmt=True).encode()


def own_fields(record: Record, theirs: Headers, clock: Clock) -> Headers:
    """Return the gateway's own fields of a reply whose upstream sent `theirs`."""
    request_id = record.request_id.encode()
    own = [(b"x-gateway-request-id", request_id)]
    named = dated = False
    for name, _ in theirs:
        if len(name) == 12 and name.lower() == b"x-request-id":
            named = True
        elif len(name) == 4 and name.lower() == b"date":
            dated = True
    if not named:
        own.append((b"x-request-id", request_id))
    # Whoever forwards a reply without a date gives it one (RFC 9110, 6.6.1).
    if not dated:
        own.append((b"date", http_date(int(clock.time()))))
    if record.target is not None:
        own.append((b"x-gateway-upstream", record.target.upstream.encode()))
    spent_seconds = clock.monotonic() - record.started - record.waited_seconds
    own.append((b"server-timing", b"gateway;dur=%.2f" % (max(0.0, spent_seconds) * 1000)))
    return (*own, *record.reply_headers)


def send(
    down: Downstream, record: Record, clock: Clock, status: int, fields: Headers, body: bytes
) -> None:
    """Send a reply of the gateway's own."""
    record.status = status
    fields = (*fields, *own_fields(record, (), clock))
    if record.method == "HEAD" or status == 204:
        length = () if status == 204 else ((b"content-length", b"%d" % len(body)),)
        down.bodiless(status, None, (*fields, *length))
    else:
        down.reply(status, None, fields, body)


def tell(down: Downstream, record: Record, clock: Clock, error: GatewayError) -> None:
    """Tell the client what went wrong; where its reply has begun, cut it, so that it never looks whole.

    Raises ClientLeftError.
    """
    record.error_code = error.label
    if down.begun:
        down.cut()
        return
    record.status = error.status
    if record.method == "CONNECT":
        down.keep_alive = False
    head, body = error_reply(error, own_fields(record, (), clock), close=down.closes())
    down.send(head if record.method == "HEAD" else head + body)
