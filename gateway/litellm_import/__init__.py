"""A configuration of LiteLLM's proxy becomes one of ours; what does not fit is told, line by line.

After LiteLLM's documentation: https://docs.litellm.ai/docs/proxy/config_settings. Nothing is asked, nothing runs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gateway.config_loader import document, written
from gateway.config_tree import ConfigError, Problem, Problems
from gateway.litellm_import.deployments import Deployments, implied
from gateway.litellm_import.groups import Groups
from gateway.litellm_import.settings import Settings
from gateway.litellm_import.upstreams import Plain, Upstreams
from gateway.litellm_import.values import Secrets, Section, referenced

# The order of config.yaml.
_ORDER = ("server", "store", "upstreams", "models", "auth", "limits", "cache", "logging")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A configuration of ours, with comments that tell what is different, and the same as notes."""

    text: str
    notes: Sequence[Problem]


def convert(path: Path) -> Imported:
    """Return what a file of LiteLLM's comes to here.

    No secret of it is in the text, only variables that stand for them. Raises ConfigError for a file that
    cannot be read, and for one of which no model can be carried over.
    """
    table = document(path)
    notes = Problems()
    secrets = Secrets(taken={*referenced(table), *implied(table)})
    config = _config(Section(table, "", notes), secrets)
    told = ConfigError(notes).problems
    if not config["upstreams"]:
        whole = Problem(file=str(path), line=None, path="", message="no model can be carried over")
        raise ConfigError([*told, whole])
    return Imported(
        text="\n".join([*_comments(path, told), "", written(config).rstrip("\n")]), notes=told
    )


def _config(root: Section, secrets: Secrets) -> dict[str, Plain]:
    settings = Settings(
        module=root.section("litellm_settings"),
        router=root.section("router_settings"),
        general=root.section("general_settings"),
        secrets=secrets,
    )
    upstreams = Upstreams(defaults=settings.defaults(), secrets=secrets)
    deployments = Deployments(upstreams=upstreams, credentials=dict(_credentials(root)))
    read = [deployments.read(entry) for entry in root.sections("model_list")]
    groups = Groups([one for one in read if one is not None], any_name=bool(upstreams.open))
    _names(groups, settings)
    sections = settings.sections()
    _environment(root)
    root.left({}, "there is nothing like it here")
    return _assembled(upstreams, groups, sections)


def _names(groups: Groups, settings: Settings) -> None:
    router, module = settings.router, settings.module
    groups.alias(router.section("model_group_alias"))
    both = (router, module)
    fallbacks = [one for section in both for one in section.sections("fallbacks")]
    defaults = []
    for section in both:
        for name in section.texts("default_fallbacks"):
            if groups.serves(name):
                defaults.append(name)
            else:
                section.tell("default_fallbacks", f"carried over in part: no way to {name}")
    groups.fall_back(fallbacks, defaults)


def _credentials(root: Section) -> Iterator[tuple[str, Section]]:
    for credential in root.sections("credential_list"):
        name = credential.text("credential_name")
        if name is not None:
            yield name, credential.section("credential_values")


def _environment(root: Section) -> None:
    """Tell of variables that LiteLLM's file sets: ours sets none."""
    variables = root.section("environment_variables")
    for name in variables:
        variables.drop(name)
        variables.tell(name, "not carried over: set it where the gateway is started, if it is used")


def _assembled(
    upstreams: Upstreams, groups: Groups, sections: dict[str, Plain]
) -> dict[str, Plain]:
    models = groups.plain()
    listed: list[Plain] = []
    for upstream in upstreams.found:
        closed: dict[str, Plain] = {} if upstream["name"] in upstreams.open else {"models": []}
        listed.append({**upstream, **closed})
    rules = sections.get("limits")
    limits = [*upstreams.limits, *(rules if isinstance(rules, list) else [])]
    config = {**sections, "upstreams": listed, "models": models, "limits": limits}
    return {key: config[key] for key in _ORDER if key == "upstreams" or config.get(key)}


def _comments(path: Path, notes: Sequence[Problem]) -> Iterator[str]:
    yield f"# Made from {_printable(path.name)}, a configuration of LiteLLM's proxy, by `gateway import-litellm`."
    yield "# Set the variables that it names, then `gateway check` it. docs/migration.md says what works otherwise."
    if notes:
        yield "#"
    for note in notes:
        place = "" if note.line is None else f"line {note.line}: "
        yield f"# {place}{_printable(f'{note.path}: {note.message}')}"


def _printable(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
