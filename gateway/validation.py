"""Checks a request's parameters by a table of rules, as strictly as the upstream it goes to wants.

Nothing is clamped, dropped or repaired: a request is refused in OpenAI's words, or goes up as it came.
The kinds of rule stand in `validation_kinds` and `validation_shapes`, the tables in `endpoints`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Literal, NoReturn

from gateway import validation_faults as faults
from gateway.errors import InvalidRequestError
from gateway.validation_faults import Fault
from gateway.validation_shapes import UNKNOWN, Check, Object

# "strict": all that OpenAI's published schema says. "lenient": known parameters only by their type.
# "off": no parameter. In every mode `model` and the types of messages are judged.
Mode = Literal["strict", "lenient", "off"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The table of one endpoint."""

    body: Object
    # What is judged in the other modes too, in their milder way.
    always: Object
    # By name, of the others: the types that need no check, and what checks the rest.
    _types: dict[str, tuple[frozenset[type], Check]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        others = self.body.members.keys() - self.always.members
        rules = {name: self.body.members[name] for name in others}
        types = {n: (rule.typed | {NoneType}, rule.check_type) for n, rule in rules.items()}
        object.__setattr__(self, "_types", types)

    def check_types(self, payload: Mapping[str, object]) -> None:
        """Raise Fault unless the known parameters that are not always judged have their types."""
        name = ""
        look_up = self._types.get
        try:
            for name, value in payload.items():
                types, check_type = look_up(name, UNKNOWN)
                if type(value) not in types:
                    check_type(value)
        except Fault as fault:
            fault.path.insert(0, name)
            raise


def check(payload: Mapping[str, object], rules: Rules, mode: Mode) -> None:
    """Raise InvalidRequestError, 400, at the first parameter that `mode` refuses.

    The words and codes are OpenAI's: https://platform.openai.com/docs/api-reference
    """
    try:
        model = payload.get("model")
        if type(model) is not str or not model:
            _refuse_model(payload)
        if mode == "strict":
            rules.body.check(payload)
            return
        rules.always.check(payload)
        if mode == "lenient":
            rules.check_types(payload)
    except Fault as fault:
        raise InvalidRequestError(fault.message, code=fault.code, param=fault.param) from None


def _refuse_model(payload: Mapping[str, object]) -> NoReturn:
    if "model" not in payload:
        raise Fault("missing_required_parameter", "you must provide a model parameter", "model")
    model = payload["model"]
    fault = faults.empty_string() if model == "" else faults.wrong_type("a string", model)
    fault.path.append("model")
    raise fault
