"""Questions that the command line asks of running servers: an upstream's models, our own readiness.

Blocking, for the command line alone; the gateway itself never comes here.
"""

import http.client
import json
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.config import Upstream
from gateway.config_types import ListenAddress, TcpAddress

# For one read or write; a whole answer may take twice as long.
SOCKET_SECONDS = 5.0
MAX_REPLY_BYTES = 8 * 1024 * 1024
_REFUSED = frozenset({401, 403})
_HERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  never bound, only replaced


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a question: whether it went well, in words, and which models were listed."""

    good: bool
    words: str
    models: frozenset[str] | None = None


def ask_models(upstreams: Sequence[Upstream]) -> Mapping[str, Answer]:
    """Ask every upstream at once for its models; return each one's answer by name.

    Redirects are not followed and the environment's proxies not obeyed, as in the gateway itself.
    """
    answers: dict[str, Answer] = {}

    def ask(upstream: Upstream) -> None:
        answers[upstream.name] = _ask_models(upstream)

    # Daemons: a reply that drips for ever does not keep the command from ending.
    threads = [threading.Thread(target=ask, args=(one,), daemon=True) for one in upstreams]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(2 * SOCKET_SECONDS)
    late = Answer(good=False, words=f"no whole answer within {2 * SOCKET_SECONDS:g} s")
    return {upstream.name: answers.get(upstream.name, late) for upstream in upstreams}


def ask_ready(listen: ListenAddress) -> Answer:
    """Ask the gateway whose admin listener is at `listen` whether it is ready."""
    if isinstance(listen, TcpAddress):
        if listen.port == 0:
            return Answer(good=False, words="admin.listen has port 0: nobody knows where it is")
        host = _HERE.get(listen.host, listen.host)
        connection = http.client.HTTPConnection(host, listen.port, timeout=SOCKET_SECONDS)
    else:
        connection = _UnixConnection(listen.path)
    try:
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return Answer(good=False, words=f"no answer from {listen}: {_reason(error)}")
    finally:
        connection.close()
    ready = status == http.HTTPStatus.OK
    return Answer(good=ready, words="ready" if ready else f"not ready: {listen} answers {status}")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=SOCKET_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(SOCKET_SECONDS)
        self.sock.connect(self._path)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: object, **_kwargs: object) -> None:
        return None


def _ask_models(upstream: Upstream) -> Answer:
    try:
        with _opener(upstream).open(_models_request(upstream), timeout=SOCKET_SECONDS) as reply:
            return _listed(reply.read(MAX_REPLY_BYTES))
    except urllib.error.HTTPError as error:
        return _failed(upstream, error.code)
    except (OSError, http.client.HTTPException) as error:
        return Answer(good=False, words=f"cannot be reached: {_reason(error)}")


def _opener(upstream: Upstream) -> urllib.request.OpenerDirector:
    proxy = upstream.proxy.reveal() if upstream.proxy is not None else None
    context = ssl.create_default_context(cafile=upstream.ca_file)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({"http": proxy, "https": proxy} if proxy else {}),
        urllib.request.HTTPSHandler(context=context),
        _NoRedirect,
    )


def _models_request(upstream: Upstream) -> urllib.request.Request:
    azure = upstream.kind == "azure"
    target = "/models"
    if azure:
        prefix = "" if upstream.base_url.path.endswith("/openai") else "/openai"
        target = f"{prefix}/models?api-version={upstream.api_version}"
    headers = {name: value.reveal() for name, value in upstream.headers.items()}
    if upstream.api_key is not None:
        key = upstream.api_key.reveal()
        headers |= {"api-key": key} if azure else {"authorization": f"Bearer {key}"}
    return urllib.request.Request(f"{upstream.base_url}{target}", headers=headers)  # noqa: S310  http or https, by its type


def _listed(body: bytes) -> Answer:
    try:
        entries = json.loads(body)["data"]
        models = frozenset(str(entry["id"]) for entry in entries)
    except (ValueError, LookupError, TypeError, RecursionError):
        return Answer(good=True, words="reachable, but its list of models cannot be read")
    return Answer(good=True, words=f"reachable, {len(models)} models", models=models)


def _failed(upstream: Upstream, status: int) -> Answer:
    if status in _REFUSED and upstream.auth == "passthrough":
        return Answer(good=True, words=f"reachable, asks for the client's key ({status})")
    if status in _REFUSED:
        return Answer(good=False, words=f"refuses the key ({status})")
    if status == http.HTTPStatus.NOT_FOUND:
        return Answer(
            good=True, words="reachable, lists no models (404); does base_url end in /v1?"
        )
    return Answer(good=False, words=f"answers {status}")


def _reason(error: Exception) -> str:
    """Return why a connection failed, in the system's words; never what a server sent."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror
    return type(cause).__name__ if isinstance(cause, Exception) else str(cause)
