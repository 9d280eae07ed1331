"""Checks a request's parameters by a table of rules, as strictly as the upstream it goes to wants.

Nothing is clamped, dropped or repaired: a request is refused in OpenAI's words, or goes up as it came.
The kinds of rule stand in `validation_kinds` and `validation_shapes`, the tables in `endpoints`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway import validation_faults as faults
from gateway.errors import InvalidRequestError
from gateway.validation_faults import Fault
from gateway.validation_kinds import Rule
from gateway.validation_shapes import Object

# "strict": all that OpenAI's published schema says. "lenient": known parameters only by their type.
# "off": no parameter. In every mode `model` and the types of messages are judged.
Mode = Literal["strict", "lenient", "off"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The table of one endpoint."""

    body: Object
    # What is judged in the other modes too, in their milder way.
    always: Object


def check(payload: Mapping[str, object], rules: Rules, mode: Mode) -> None:
    """Raise InvalidRequestError, 400, at the first parameter that `mode` refuses.

    The words and codes are OpenAI's: https://platform.openai.com/docs/api-reference
    """
    try:
        _check_model(payload)
        if mode == "strict":
            rules.body.check(payload)
            return
        rules.always.check(payload)
        if mode == "lenient":
            _check_types(payload, rules.body.members, rules.always.members)
    except Fault as fault:
        raise InvalidRequestError(fault.message, code=fault.code, param=fault.param) from None


def _check_model(payload: Mapping[str, object]) -> None:
    model = payload.get("model")
    if type(model) is str and model:
        return
    if "model" not in payload:
        raise Fault("missing_required_parameter", "you must provide a model parameter", "model")
    fault = faults.empty_string() if model == "" else faults.wrong_type("a string", model)
    fault.path.append("model")
    raise fault


def _check_types(
    payload: Mapping[str, object], known: Mapping[str, Rule], judged: Mapping[str, Rule]
) -> None:
    name = ""
    try:
        for name, value in payload.items():
            if value is not None and name in known and name not in judged:
                known[name].check_type(value)
    except Fault as fault:
        fault.path.insert(0, name)
        raise
