"""The journey of one call, top to bottom: start reading here.

`Handler.journey` is the whole of it in order; what each step means lives in the part that it names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from gateway.accounting import Accountant, Counted
from gateway.auth import Authenticator, credential, permit_model, unknown_model
from gateway.cache import Wanted
from gateway.catalog import ASK_AGAIN_SECONDS, FRESH_SECONDS, Catalog
from gateway.clock import Clock
from gateway.copying import Client, Copying
from gateway.downstream import Downstream
from gateway.endpoints import MODEL, MODELS, Endpoint
from gateway.endpoints.rules import RULES
from gateway.errors import UnavailableError
from gateway.flights import Flight
from gateway.headers import upward
from gateway.intake import Intake
from gateway.limits import Admission, Limiter
from gateway.listener.head import Request
from gateway.prices import Price
from gateway.relay import Answer, Relay
from gateway.replies import own_fields, send
from gateway.routing import Router
from gateway.sharing import Sharing
from gateway.stream_usage import UsageFilter, ask, asks
from gateway.transcript import Transcript
from gateway.types import Call, Record, Target, Upload, User
from gateway.validation import Mode, check


@dataclass(frozen=True, slots=True, kw_only=True)
class Handler:
    """Carries calls from clients to upstreams and their replies back, through the parts of one configuration."""

    auth: Authenticator
    intake: Intake
    router: Router
    catalog: Catalog
    relay: Relay
    copying: Copying
    accountant: Accountant
    limiter: Limiter
    # How calls to each upstream are checked.
    checks: Mapping[str, Mode]
    clock: Clock
    end_user_header: bytes | None
    # Streams are asked for their usage whatever their clients asked for.
    always_usage: bool
    # A sole upstream that takes everything lists its models itself.
    relay_models: bool
    # None: there is no cache.
    sharing: Sharing | None = None

    async def journey(
        self,
        endpoint: Endpoint,
        request: Request,
        target: str,
        down: Downstream,
        record: Record,
    ) -> None:
        """Carry one call to an upstream and its reply back, or raise a GatewayError."""
        key = credential(request.fields)
        user = record.user = self.auth.identify(key)  # 401: before the body is read
        self.auth.permit_endpoint(  # 403
            user, request.method, "/v1" + target.partition("?")[0], shareable=endpoint.shareable
        )
        self.limiter.check(user)  # 429, where the user alone decides
        if endpoint in (MODELS, MODEL) and not self.relay_models:
            await self._list_models(endpoint, target, user, down, record)
            return
        call = record.call = await self.intake.read(  # 400, 408, 413, 415, 417
            endpoint, request, target, key, down, record
        )
        if endpoint.names_model or call.model is not None or isinstance(call.body, Upload):
            permit_model(user, call.model)  # 403
        targets = await self._targets(call, record)  # 404, 503
        if endpoint.kind is not None:
            check(call.payload, RULES[endpoint.kind], self.checks[targets[0].upstream])  # 400
        counted = await self.accountant.count(  # 400, context_length_exceeded
            endpoint.kind, call, targets, request.text(b"x-gateway-context")
        )
        record.waited_seconds += counted.waited_seconds
        call = record.call = counted.call
        record.reply_headers.extend(counted.headers)
        sent = ask(call) if self.always_usage and asks(call) else call
        price = self.accountant.dearest(counted)
        wanted = self._wanted(user, counted, endpoint, record)
        if wanted is not None:
            await self._share(wanted, sent, counted, price, down, record)
            return
        async with self.limiter.admit(
            user, call, counted.estimate, price=price, record=record
        ) as admission:  # 429
            await self._relay(sent, counted, price, admission, down, record)  # 502, 503, 504

    async def _relay(
        self,
        sent: Call,
        counted: Counted,
        price: Price | None,
        admission: Admission,
        client: Client,
        record: Record,
        *,
        shared: bool = False,
    ) -> tuple[Answer, Transcript]:
        """Ask an upstream, copy its reply to the client and settle what it came to.

        `shared`: the clients behind `client` are told by others what the gateway adds.
        """
        call = counted.call
        answer = await self._ask(sent, counted, record, admission, price)
        record.status = answer.reply.status
        theirs = answer.reply.headers
        transcript = Transcript.of(sent, theirs)
        whole = True
        try:
            whole = await self.copying.copy(
                answer,
                client,
                transcript,
                record,
                () if shared else own_fields(record, theirs, self.clock),
                head_only=call.method == "HEAD",
                unasked=None if sent is call else UsageFilter(),
            )
        finally:  # also when the client leaves
            usage = await self.accountant.usage(counted, record.status, transcript)
            price = self.accountant.price(answer.target.asked, answer.target.model, call.model)
            record.usage = usage
            record.cost_nanodollars = price.cost(usage) if price and usage else None
            admission.settle(usage, price)
        if not whole:
            client.cut()
        return answer, transcript

    def _wanted(
        self, user: User, counted: Counted, endpoint: Endpoint, record: Record
    ) -> Wanted | None:
        """Return what may answer a call instead of an upstream; None where nothing may."""
        if self.sharing is None or endpoint.kind is None:
            return None
        wanted = self.sharing.cache.wanted(
            user,
            counted.call,
            counted.targets,
            lambda: upward(
                counted.call.headers, own_key=False, end_user_header=self.end_user_header
            ),
            trimmed_turns=counted.trimmed_turns,
        )
        if wanted is None:
            record.cache = "bypass"
            record.reply_headers.append((b"cache-status", b"gateway; fwd=bypass"))
        return wanted

    async def _share(
        self,
        wanted: Wanted,
        sent: Call,
        counted: Counted,
        price: Price | None,
        down: Downstream,
        record: Record,
    ) -> None:
        """Answer a call by an earlier reply, or by one that it shares with others."""
        user, sharing, call = record.user, self.sharing, counted.call
        if user is None or sharing is None:
            return

        def admit(shared: bool) -> Admission:
            return self.limiter.admit(
                user, call, counted.estimate, price=price, shared=shared, record=record
            )

        async def fly(admission: Admission, flight: Flight) -> bool:
            answer, transcript = await self._relay(
                sent, counted, price, admission, flight, record, shared=True
            )
            reply = answer.reply
            return sharing.cache.may_keep(
                call, answer.target, reply.status, reply.headers, transcript, flight.end
            )

        await sharing.answer(wanted, down, record, admit, fly)

    async def _ask(
        self,
        sent: Call,
        counted: Counted,
        record: Record,
        admission: Admission,
        price: Price | None,
    ) -> Answer:
        """Return an upstream's answer; a call that is given up while an upstream has it pays its prompt."""
        try:
            return await self.relay.open(sent, counted.targets, record, admission)
        except BaseException as error:
            admission.settle(self.accountant.unanswered(counted, error), price)
            raise
        finally:
            record.reply_headers.extend(admission.headers)

    async def _targets(self, call: Call, record: Record) -> tuple[Target, ...]:
        """Return where the call may go, asking the upstreams for their lists where a name is new."""
        targets = self.router.targets(call.model)
        if not targets:
            await self._refresh(record, ASK_AGAIN_SECONDS)
            targets = self.router.targets(call.model)
        if not targets:
            if self.router.undecided(call.model or ""):
                raise UnavailableError(
                    "Which upstream has this model is not known yet.",
                    code="upstream_unavailable",
                    retry_after_seconds=int(ASK_AGAIN_SECONDS),
                )
            raise unknown_model(call.model or "")
        return targets

    async def _refresh(self, record: Record, max_age_seconds: float) -> None:
        """Let the upstreams' lists be read anew; what that takes is not the gateway's own time."""
        began = self.clock.monotonic()
        await self.catalog.refresh(self.router.names, max_age_seconds=max_age_seconds)
        record.waited_seconds += self.clock.monotonic() - began

    async def _list_models(
        self, endpoint: Endpoint, target: str, user: User, down: Downstream, record: Record
    ) -> None:
        """Answer which models this caller may use, from what is configured and what is listed."""
        await self._refresh(record, FRESH_SECONDS)
        if endpoint is MODELS:
            body = self.catalog.listing(user)
        else:
            name = unquote(target.partition("?")[0].removeprefix("/models/"))
            one = self.catalog.one(user, name)
            if one is None:
                raise unknown_model(name)
            body = one
        send(down, record, self.clock, 200, ((b"content-type", b"application/json"),), body)
