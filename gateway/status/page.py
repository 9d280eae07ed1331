"""The page itself, as it is sent: one file, and a policy under which nothing else can run in it."""

import base64
import html
import re
from hashlib import sha256
from importlib.resources import files

_FRAME = (files("gateway.status") / "page.html").read_text(encoding="utf-8")
_FORM = (files("gateway.status") / "form.html").read_text(encoding="utf-8")

# A page of names that clients make up: what would turn one into markup is refused by the browser, too
# (https://www.w3.org/TR/trusted-types/).
_POLICY = (
    "default-src 'none'; connect-src 'self'; img-src data:; {sources}; form-action {form};"
    " base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def _digests(tag: str, page: str) -> str:
    found = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
    digests = (base64.b64encode(sha256(text.encode()).digest()).decode() for text in found)
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


def _policy(page: str, form: str) -> str:
    sources = "; ".join(f"{tag}-src {_digests(tag, page)}" for tag in ("style", "script"))
    return _POLICY.format(sources=sources, form=form)


PAGE = _FRAME.encode()
PAGE_POLICY = _policy(_FRAME, "'none'")
FORM_POLICY = _policy(_FORM, "'self'")


def form(said: str) -> bytes:
    """Return the page that asks for the token, with a word on the last try."""
    return _FORM.replace("{said}", html.escape(said)).encode()
