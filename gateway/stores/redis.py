"""State in one Redis or Valkey server, shared by gateways: atomic, and on the server's clock.

What is held there is held on a lease that this gateway renews: one that died loses its holds.
What runs in the server is in `redis_scripts`, the protocol in `redis_client`.
"""

import asyncio
import contextlib
import logging
import secrets
from collections import deque
from collections.abc import Sequence
from functools import partial

import hiredis

from gateway.clock import Clock, Timer
from gateway.errors import StoreError
from gateway.stores import Bucket, Charges, Decision
from gateway.stores.redis_client import OnReply, RedisAddress, RedisConnection, connect
from gateway.stores.redis_holds import Holds
from gateway.stores.redis_scripts import Form, Script, read_decision, text

# How long a gateway's holds outlast it; they are renewed three times in that time.
LEASE_SECONDS = 30.0

# When a lost connection is tried again: at first after so long, then more and more seldom.
_FIRST_RETRY_SECONDS = 0.1
_MAX_RETRY_SECONDS = 2.0
_CONNECT_SECONDS = 2.0

# How many settlements are kept while there is no connection.
_MAX_OWED = 10_000

# How many buckets' forms are kept; beyond, all are made anew.
_MAX_FORMS = 10_000

# How many keys one script renews.
_RENEW_BATCH = 200

_log = logging.getLogger(__name__)


class RedisStore:
    """One server's state. While there is no connection every operation fails at once."""

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        prefix: str = "gateway:",
        timeout_seconds: float = 0.05,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        """Connect to nothing yet. Raises ValueError for a URL or prefix that cannot be used."""
        if not prefix.isascii():
            raise ValueError("the store's prefix has to be ASCII")
        self._address = RedisAddress.from_url(url)
        self._clock = clock
        self._prefix = prefix
        self._timeout_seconds = timeout_seconds
        self._lease_seconds = lease_seconds
        self._identity = text(secrets.token_hex(4)) + text(f"{lease_seconds * 1_000_000:.0f}")
        self._forms: dict[str, Form] = {}
        self._take, self._settle, self._renew = map(Script, ("take", "settle", "renew"))
        self._connection: RedisConnection | None = None
        self._timer: Timer | None = None
        self._holds = Holds()
        self._owed: deque[tuple[list[str], list[str]]] = deque(maxlen=_MAX_OWED)
        self.errors: dict[str, int] = {}

    @property
    def up(self) -> bool:
        """Whether there is a connection over which the server answers in time."""
        return self._connection is not None and self._connection.error is None

    async def run(self) -> None:
        """Keep the connection: make it, renew the leases over it, make it again."""
        pause = _FIRST_RETRY_SECONDS
        known_away = False
        while True:
            try:
                connection = await self._open()
            except StoreError as error:
                why: StoreError | None = error
            else:
                _log.info("store %s is connected", self._address)
                pause, known_away = _FIRST_RETRY_SECONDS, False
                await self._use(connection)
                why = connection.error
            self._count("connect")
            if not known_away:
                _log.warning("store %s is away: %s", self._address, why)
                known_away = True
            await self._clock.sleep(pause)
            pause = min(2 * pause, _MAX_RETRY_SECONDS)

    def take_now(self, charges: Charges) -> None:
        """Return None: a server has to be asked."""

    async def take(self, charges: Charges) -> Decision:
        """Take every charge, or none; what is granted to a caller who was cancelled is given back."""
        keys: list[str] = []
        arguments: list[str] = []
        holds = self._holds
        for bucket, amount in charges:
            form = self._form(bucket)
            least = most = 0
            if bucket.holds:
                least, most = holds.ask(bucket.key, amount)
            keys.append(form.key)
            arguments.append(form.take(amount, least, most))
        future: asyncio.Future[Decision | StoreError] = asyncio.get_running_loop().create_future()
        self._run(self._take, keys, arguments, partial(self._taken, charges, future))
        try:
            answer = await future
        except asyncio.CancelledError:
            if not future.cancelled():
                self._give_back(future.result())
            raise
        if isinstance(answer, StoreError):
            raise StoreError(str(answer))
        return answer

    def settle(self, decision: Decision, actual: Sequence[int]) -> None:
        """Hand the settlement to the connection, or keep it until there is one."""
        keys: list[str] = []
        arguments: list[str] = []
        for (bucket, amount), slot, final in zip(
            decision.charges, decision.slots, actual, strict=True
        ):
            if bucket.holds:
                self._holds.end(bucket.key, amount)
            elif final >= amount:
                continue
            form = self._form(bucket)
            keys.append(form.key)
            arguments.append(form.settle(amount, final, slot))
        if keys and self.up:
            self._run(self._settle, keys, arguments, partial(self._settled, decision))
        elif keys:
            self._owed.append((keys, arguments))

    async def get(self, key: str) -> bytes | None:
        """Return what was set, or None."""
        value = await self._call("GET", self._prefix + key)
        return value if isinstance(value, bytes) else None

    async def set(self, key: str, value: bytes, ttl_seconds: float) -> None:
        """Keep `value` for `ttl_seconds`."""
        await self._call(
            "SET", self._prefix + key, value, "PX", str(max(1, int(ttl_seconds * 1000)))
        )

    async def aclose(self) -> None:
        """Let the server have what was sent, and disconnect."""
        connection = self._connection
        if connection is not None:
            with contextlib.suppress(StoreError):
                await connection.call("PING")
            connection.close()

    async def _open(self) -> RedisConnection:
        """Connect, and see that the server runs scripts and takes writes. Raises StoreError."""
        connection = await connect(
            self._address,
            self._clock,
            timeout_seconds=self._timeout_seconds,
            connect_seconds=_CONNECT_SECONDS,
        )
        try:
            for script in (self._take, self._settle, self._renew):
                await connection.call("SCRIPT", "LOAD", script.source)
            await connection.call("SET", f"{self._prefix}probe", "", "PX", "1000")
        except StoreError:
            connection.close()
            raise
        return connection

    async def _use(self, connection: RedisConnection) -> None:
        """Settle and renew what is due over a new connection, and return when it is lost."""
        self._connection = connection
        while self._owed:
            keys, arguments = self._owed.popleft()
            self._run(self._settle, keys, arguments, partial(self._noted, "settle", ()))
        try:
            self._renew_leases()
            await connection.lost
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _renew_leases(self) -> None:
        keys = self._holds.keys()
        for start in range(0, len(keys), _RENEW_BATCH):
            batch = keys[start : start + _RENEW_BATCH]
            bounds = [text("{} {}".format(*self._holds.bounds(key))) for key in batch]
            self._holds.doubtful.difference_update(batch)
            names = [text(self._prefix + key) for key in batch]
            self._run(self._renew, names, bounds, partial(self._noted, "renew", batch))
        self._timer = self._clock.call_later(self._lease_seconds / 3, self._renew_leases)

    def _form(self, bucket: Bucket) -> Form:
        # By its key, whose hash is ready: a bucket's own is worked out each time.
        form = self._forms.get(bucket.key)
        if form is None or form.bucket is not bucket:
            if len(self._forms) >= _MAX_FORMS:
                self._forms.clear()
            form = self._forms[bucket.key] = Form(self._prefix, bucket)
        return form

    def _run(
        self, script: Script, keys: Sequence[str], arguments: Sequence[str], on_reply: OnReply
    ) -> None:
        """Run a script; `on_reply` gets what it says, or a StoreError."""
        connection = self._connection
        if connection is None:
            on_reply(StoreError("there is no connection"))
            return
        identity = self._identity

        def check(reply: object) -> None:
            if not isinstance(reply, hiredis.ReplyError):
                on_reply(reply)
            elif str(reply).startswith("NOSCRIPT"):
                connection.send(script.command(identity, keys, arguments, whole=True), check)
            else:
                error = StoreError(f"the server said: {reply}")
                connection.close(error)
                on_reply(error)

        connection.send(script.command(identity, keys, arguments), check)

    def _taken(
        self, charges: Charges, future: asyncio.Future[Decision | StoreError], reply: object
    ) -> None:
        answer: Decision | StoreError
        try:
            answer = reply if isinstance(reply, StoreError) else read_decision(self, charges, reply)
        except StoreError as error:
            answer = error
            if self._connection is not None:
                self._connection.close(error)
        failed = isinstance(answer, StoreError)
        granted = isinstance(answer, Decision) and answer.refusal is None
        for bucket, amount in charges:
            if bucket.holds:
                self._holds.answer(bucket.key, amount, granted=granted)
                if failed:
                    self._holds.doubtful.add(bucket.key)
        if failed:
            self._count("take")
        if future.cancelled():
            self._give_back(answer)
        else:
            future.set_result(answer)

    def _give_back(self, answer: Decision | StoreError) -> None:
        if isinstance(answer, Decision) and answer.refusal is None:
            self.settle(answer, [0] * len(answer.charges))

    def _settled(self, decision: Decision, reply: object) -> None:
        if isinstance(reply, StoreError):
            held = [bucket.key for bucket, _ in decision.charges if bucket.holds]
            self._noted("settle", held, reply)

    def _noted(self, operation: str, held: Sequence[str], reply: object) -> None:
        """Note the end of what nobody waits for."""
        if isinstance(reply, StoreError):
            self._count(operation)
            self._holds.doubtful.update(held)

    async def _call(self, operation: str, *arguments: str | bytes) -> object:
        connection = self._connection
        try:
            if connection is None:
                raise StoreError("there is no connection")
            return await connection.call(operation, *arguments)
        except StoreError:
            self._count(operation.lower())
            raise

    def _count(self, operation: str) -> None:
        self.errors[operation] = self.errors.get(operation, 0) + 1
