"""Which table of rules goes with which kind of endpoint."""

from collections.abc import Mapping

from gateway.endpoints import Kind
from gateway.endpoints.rules_chat import CHAT
from gateway.endpoints.rules_completions import COMPLETIONS
from gateway.endpoints.rules_embeddings import EMBEDDINGS
from gateway.endpoints.rules_responses import RESPONSES
from gateway.validation import Rules

RULES: Mapping[Kind, Rules] = {
    "chat": CHAT,
    "completions": COMPLETIONS,
    "embeddings": EMBEDDINGS,
    "responses": RESPONSES,
}
