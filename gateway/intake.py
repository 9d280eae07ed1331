"""From a request to a `Call`: its body is held and judged where it is JSON, else streamed up as it comes."""

import asyncio
from dataclasses import dataclass, replace

from gateway.body_coding import check_content_coding, check_content_type, inflate
from gateway.clock import Clock
from gateway.downstream import Downstream, too_large
from gateway.endpoints import Endpoint
from gateway.endpoints.multipart import boundary_of, read_model
from gateway.endpoints.parsing import parse
from gateway.json_body import SMALL_BYTES, decode, decode_in_turns
from gateway.listener.head import Request
from gateway.types import Call, Record, Upload


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """How much of a client's bytes is taken, and for how long."""

    max_body_bytes: int
    max_upload_bytes: int
    body_seconds: float
    # In which a trusted app names its end user.
    end_user_header: bytes | None
    clock: Clock

    async def read(
        self,
        endpoint: Endpoint,
        request: Request,
        target: str,
        key: str | None,
        down: Downstream,
        record: Record,
    ) -> Call:
        """Return the call that `request` makes; `target` is its path and query without /v1.

        Raises InvalidRequestError: 400, 408, 413, 415, 417.
        """
        down.check_expectation()
        call = Call(
            endpoint=endpoint.path,
            method=request.method,
            target=target,
            headers=request.fields,
            body=b"",
            credential=key,
            repeatable=endpoint.repeatable or request.method in ("GET", "HEAD"),
        )
        content_type = request.text(b"content-type")
        if endpoint.body == "json":
            check_content_type(content_type)
        elif request.length_bytes == 0:
            return call
        elif not _is_json(content_type):
            return await self._upload(call, request, down)
        coding = request.text(b"content-encoding")
        if coding is not None:
            check_content_coding(coding)
        began = self.clock.monotonic()
        body = await down.read_body(self.max_body_bytes, self.body_seconds)
        record.waited_seconds += self.clock.monotonic() - began
        plain = None
        if coding is not None:
            # zlib lets the other calls go on meanwhile: it may take milliseconds.
            plain = await asyncio.to_thread(inflate, body, coding, self.max_body_bytes)
        text = body if plain is None else plain
        if len(text) > SMALL_BYTES:
            # The others have their turn between all long steps; checking the parameters is the next.
            payload = await decode_in_turns(text, self._turn)
            await self._turn()
        else:
            payload = decode(text)
        call = parse(call, endpoint, body, plain, payload)
        told = self._end_user(request)
        return call if told is None else replace(call, end_user=told)

    async def _turn(self) -> None:
        await self.clock.sleep(0)

    def _end_user(self, request: Request) -> str | None:
        return request.text(self.end_user_header) if self.end_user_header else None

    async def _upload(self, call: Call, request: Request, down: Downstream) -> Call:
        """Take a body that is streamed up; of a form, read along which model it is for."""
        length = request.length_bytes
        if length is not None and length > self.max_upload_bytes:
            raise too_large(self.max_upload_bytes)
        pieces = down.pieces(self.max_upload_bytes, self.body_seconds)
        boundary = boundary_of(request.text(b"content-type"))
        model = None
        if boundary is not None:
            model, pieces = await read_model(pieces, boundary)
        return replace(call, body=Upload(pieces=pieces, length_bytes=length), model=model)


def _is_json(content_type: str | None) -> bool:
    kind = (content_type or "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")
