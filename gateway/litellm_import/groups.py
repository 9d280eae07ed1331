"""The names that clients use: deployments of one name, aliases and fallbacks become our `models`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from gateway.litellm_import.deployments import Deployment
from gateway.litellm_import.upstreams import Plain
from gateway.litellm_import.values import Section

MIN_WEIGHT, MAX_WEIGHT = 0.001, 1000.0
# LiteLLM's measures of a share; the first that a group's first deployment has decides.
_MEASURES = ("weight", "rpm", "tpm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One place that serves a name."""

    upstream: str
    # Its name there; None: as the client says, under a glob.
    model: str | None
    weight: float | None = None

    def plain(self, name: str) -> dict[str, Plain]:
        """Return it as it stands below `name`."""
        weight = self.weight
        found = {
            "upstream": self.upstream,
            "model": None if self.model in (None, name) else _value(self.model),
            "weight": int(weight) if weight is not None and weight.is_integer() else weight,
        }
        return {key: value for key, value in found.items() if value is not None}


@dataclass(slots=True, kw_only=True)
class Entry:
    """What one name, or one glob, stands for."""

    name: str
    targets: tuple[Target, ...]
    traits: Mapping[str, Plain] = field(default_factory=dict)
    fallbacks: list[str] = field(default_factory=list)

    def of(self, name: str) -> tuple[Target, ...]:
        """Return the targets for one name that the entry covers."""
        return tuple(
            Target(upstream=t.upstream, model=t.model or name, weight=t.weight)
            for t in self.targets
        )

    def plain(self) -> dict[str, Plain]:
        """Return it as it is written."""
        targets: list[Plain] = [target.plain(self.name) for target in self.targets]
        fallbacks: list[Plain] = [_value(name) for name in self.fallbacks]
        lists = {"targets": targets, "fallbacks": fallbacks}
        return {**{key: value for key, value in lists.items() if value}, **self.traits}


class Groups:
    """All names, and the ways between them."""

    def __init__(self, deployments: Sequence[Deployment], *, any_name: bool) -> None:
        """Let deployments of one name share its calls. `any_name`: some upstream takes others too."""
        self._any_name = any_name
        self._entries: dict[str, Entry] = {}
        self._aliases: dict[str, str] = {}
        # Entries that no client has to know.
        self._extra: set[str] = set()
        by_name: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            by_name.setdefault(deployment.name, []).append(deployment)
        # Of globs the longest goes first, as with LiteLLM; ours are read in their order.
        for name in sorted(by_name, key=lambda name: -len(name) if "*" in name else -(2**31)):
            self._add(name, by_name[name])

    def plain(self) -> dict[str, Plain]:
        """Return `models` as it is written."""
        return {_glob(name): entry.plain() for name, entry in self._entries.items()}

    def alias(self, section: Section) -> None:
        """Take over `model_group_alias`: other names for the same targets."""
        for name in section:
            if section.is_mapping(name):
                inner = section.section(name)
                target = inner.text("model")
                inner.left({"hidden": "every name is shown in /v1/models"}, "unknown")
            else:
                target = section.text(name)
            entry = None if target is None else self._find(target)
            if target is None or entry is None or not name.strip() or not name.isprintable():
                section.tell(name, "not carried over: nothing serves it")
            elif name in self._entries:
                section.tell(name, "not carried over: a model has this name")
            else:
                self._put(name, entry.of(target), entry.traits)
                self._aliases[name] = target

    def fall_back(self, sections: Sequence[Section], defaults: Sequence[str]) -> None:
        """Take over fallbacks; `defaults` are those of every name that has none of its own."""
        own: set[str] = set()
        common = list(defaults)
        for section in sections:
            for name in section:
                names = section.texts(name)
                if name == "*":
                    common += names
                    continue
                own.add(name)
                for lost in self._lead(name, names):
                    section.tell(name, f"carried over in part: no way to {lost}")
        # What of the defaults nothing serves is told where they stand.
        without = {*own, *self._extra, *self._aliases}
        for name in [name for name in self._entries if name not in without]:
            self._lead(name, common)
        for name in [name for name in self._aliases if name not in own]:
            entry = self._find(self._aliases[name])
            self._lead(name, () if entry is None else list(entry.fallbacks))

    def serves(self, name: str) -> bool:
        """Tell whether some target may have `name`."""
        sayable = bool(name.strip()) and name.isprintable()
        return sayable and (self._any_name or self._find(name) is not None)

    def _add(self, name: str, group: Sequence[Deployment]) -> None:
        traits = group[0].traits
        for other in group[1:]:
            if other.traits != traits:
                other.section.complain(
                    "differs: sizes and price are those of the first of its name"
                )
        orders = sorted({deployment.order for deployment in group})
        if "*" in name and len(orders) > 1:
            group[0].section.complain("not carried over: `order`, under a name with an asterisk")
            tiers = [list(group)]
        else:
            tiers = [[one for one in group if one.order == order] for order in orders]
        entry = self._put(name, _targets(tiers[0], name), traits)
        for order, tier in zip(orders[1:], tiers[1:], strict=False):
            later = self._put(self._free(f"{name}.order-{order}"), _targets(tier, name), traits)
            self._extra.add(later.name)
            entry.fallbacks.append(later.name)
            tier[0].section.complain(
                f"differs: as its `order` says it comes later, as {later.name}"
            )

    def _put(self, name: str, targets: tuple[Target, ...], traits: Mapping[str, Plain]) -> Entry:
        entry = self._entries[name] = Entry(name=name, targets=targets, traits=traits)
        return entry

    def _find(self, name: str) -> Entry | None:
        """Return the entry that covers `name`: its own, else the first glob that matches."""
        if name in self._entries:
            return self._entries[name]
        globs = (entry for key, entry in self._entries.items() if "*" in key)
        return next((entry for entry in globs if fnmatchcase(name, _glob(entry.name))), None)

    def _lead(self, name: str, fallbacks: Sequence[str]) -> list[str]:
        """Lead from `name` to each of `fallbacks`; return what of them all nothing serves."""
        entry = self._entries.get(name)
        if entry is None:
            if not self.serves(name):
                return [name]
            found = self._find(name)
            entry = self._put(name, () if found is None else found.of(name), {})
        lost: list[str] = []
        for fallback in fallbacks:
            if fallback == name or fallback in entry.fallbacks:
                continue
            way = fallback if self.serves(fallback) else None
            if any(self._find(further) is entry for further in self._ways(fallback)):
                way = self._alone(fallback)
            if way is None:
                lost.append(fallback)
            else:
                entry.fallbacks.append(way)
        return lost

    def _ways(self, name: str) -> list[str]:
        """Return `name` and all that its fallbacks lead to."""
        ways = [name]
        for way in ways:
            entry = self._find(way)
            ways += [other for other in (entry.fallbacks if entry else ()) if other not in ways]
        return ways

    def _alone(self, name: str) -> str | None:
        """Return a name with the targets of `name` and no fallbacks, the end of a circle; None: it has none."""
        alone = f"{name}.alone"
        if alone not in self._extra:
            entry = self._find(name)
            if entry is None or not entry.targets:
                return None
            alone = self._free(alone)
            self._put(alone, entry.of(name), entry.traits)
            self._extra.add(alone)
        return alone

    def _free(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._entries:
            number += 1
            name = f"{wanted}-{number}"
        return name


def _targets(group: Sequence[Deployment], name: str) -> tuple[Target, ...]:
    own = None if "*" in name else name
    measure = next((key for key in _MEASURES if key in group[0].shares), "")
    shares = [deployment.shares.get(measure, 0.0) for deployment in group]
    scale = min(1.0, MAX_WEIGHT / max(*shares, 1.0))
    return tuple(
        Target(
            upstream=deployment.upstream,
            model=deployment.model or own,
            weight=None if len(set(shares)) == 1 else max(round(share * scale, 3), MIN_WEIGHT),
        )
        for deployment, share in zip(group, shares, strict=True)
    )


def _glob(name: str) -> str:
    """Return a name as a glob of ours: of LiteLLM's signs the asterisk alone means something."""
    return name.replace("[", "[[]").replace("?", "[?]")


def _value(name: str) -> str:
    """Return a name as a value of ours, in which a dollar sign begins a reference."""
    return name.replace("$", "$$")
