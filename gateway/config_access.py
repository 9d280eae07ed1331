"""What can be configured of who may call, and how much."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal

from gateway.config_formats import (
    HOUR,
    ClientKey,
    Day,
    Endpoint,
    EndUserHeader,
    Glob,
    Seconds,
    Sha256,
    Text,
)
from gateway.config_limit_formats import BudgetText, RateText
from gateway.config_types import Doc, OneOrMore, Range

AuthMode = Literal["keys", "none", "open"]
Per = Literal["user", "group", "end_user", "model", "upstream", "global"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A client's key, or its digest, and what it may do: `key` or `sha256`, not both."""

    user: Annotated[Text, Doc("Who owns it.")]
    group: Annotated[Text | None, Doc("A group of users that limits can name.")] = None
    key: Annotated[ClientKey | None, Doc("The key itself, 16 characters or more.")] = None
    sha256: Annotated[
        Sha256 | None, Doc("Its SHA-256 in hex, as `gateway keys digest` prints it.")
    ] = None
    models: Annotated[tuple[Glob, ...] | None, Doc("Globs of models it may use; null: all.")] = None
    endpoints: Annotated[
        tuple[Endpoint, ...] | None, Doc("As `auth.endpoints`, for this key; null: as there.")
    ] = None
    expires: Annotated[Day | None, Doc("The first day, in UTC, on which it is refused.")] = None

    @property
    def digest(self) -> str:
        """The key's SHA-256 in lower-case hex."""
        if self.key is not None:
            return sha256(self.key.reveal().encode()).hexdigest()
        return self.sha256 or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """Who may call."""

    mode: Annotated[
        AuthMode | None,
        Doc(
            "keys: only with a key; none: anybody on this machine, loopback only;"
            " open: anybody. null: keys if there are any, else none."
        ),
    ] = None
    keys: Annotated[tuple[Key, ...], Doc("The clients' keys.")] = ()
    keys_files: Annotated[
        tuple[Path, ...], Doc("Files with further lists of keys, reloaded when they change.")
    ] = ()
    endpoints: Annotated[
        tuple[Endpoint, ...] | None,
        Doc('"METHOD /path" globs that keys may call; null: what one account can share safely.'),
    ] = None
    end_user_header: Annotated[
        EndUserHeader | None,
        Doc("A header in which a trusted app names its end user; it does not go up."),
    ] = None

    @property
    def effective_mode(self) -> AuthMode:
        """The mode, decided by the keys where it is not set."""
        return self.mode or ("keys" if self.keys or self.keys_files else "none")


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitMatch:
    """Which calls a rule is for: globs, all of which must fit; null: any."""

    user: Annotated[Text | None, Doc("The owner of the key.")] = None
    group: Annotated[Text | None, Doc("The group of the key.")] = None
    end_user: Annotated[Text | None, Doc("The end user that the call names.")] = None
    model: Annotated[Text | None, Doc("The model that the call asks for.")] = None
    upstream: Annotated[Text | None, Doc("The upstream that is to be asked.")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A rule: of those with the same `per` the first that matches decides, dimension by dimension."""

    per: Annotated[
        tuple[Per, ...], OneOrMore(), Doc("Whose calls are counted together; a list: each pair.")
    ]
    match: LimitMatch = LimitMatch()
    requests: Annotated[tuple[RateText, ...], OneOrMore(), Doc("Calls.")] = ()
    tokens: Annotated[
        tuple[RateText, ...], OneOrMore(), Doc("Tokens, of prompts and replies.")
    ] = ()
    budget: Annotated[
        tuple[BudgetText, ...], OneOrMore(), Doc("Money in USD, by calendar day or month in UTC.")
    ] = ()
    concurrency: Annotated[int | None, Doc("Calls at once."), Range(1, 1_000_000)] = None
    reserve: Annotated[
        Literal["expected", "max"],
        Doc("What a call reserves for its reply: what such replies take, or the most it can take."),
    ] = "expected"
    wait: Annotated[
        Seconds,
        Doc("How long a call may queue for its turn instead of a 429."),
        Range(0, 24 * HOUR),
    ] = 0.0
