"""The vocabulary of the functional core: what a reconciler may ask, what it sees, and what it answers.

A reconciler is a kind's behaviour as two pure functions:

    needs(obj, observed)        -> Refs, Selects and Facts that must also be known; asked again until it adds nothing
    decide(obj, observed, now)  -> Decision(children, status, events, effects, wake_after, finalizers)

Nothing here or in a reconciler does I/O, reads a clock or knows the framework.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from modelyard.api.store import Addressing, StoreConnection

Manifest = dict[str, Any]
"""A Kubernetes object as the API server shows it."""


@dataclass(frozen=True, slots=True)
class Ref:
    """One object of the cluster by name; an empty namespace means cluster-scoped."""

    kind: str
    name: str
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Select:
    """All objects of a kind in a namespace whose labels (or one spec path, dotted) equal the given values."""

    kind: str
    namespace: str
    where: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fact:
    """Something outside the cluster: answered by the engine's function of that name, at most `max_age` seconds old.

    To ask changes nothing; what is to be changed is an Effect.
    """

    name: str
    args: tuple[tuple[str, str], ...] = ()
    max_age: float = 60.0

    @staticmethod
    def of(name: str, *, max_age: float = 60.0, **args: str) -> Fact:
        """Build a fact from keyword arguments, in a fixed order."""
        return Fact(name, tuple(sorted(args.items())), max_age)


@dataclass(frozen=True, slots=True)
class Effect:
    """Something to be done outside the cluster (claim a number, delete a prefix), idempotent, after the status stands.

    Done by the engine's function of that name while this operator leads; what came of it is seen in the next reconcile.
    """

    name: str
    args: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def of(name: str, **args: str) -> Effect:
        """Build an effect from keyword arguments, in a fixed order."""
        return Effect(name, tuple(sorted(args.items())))


Need = Ref | Select | Fact


@dataclass(frozen=True, slots=True)
class Answer:
    """What a fact or an effect gave: a value, or a reason word (names.py) and a message that names cause and remedy."""

    value: Any = None
    reason: str = ""
    message: str = ""

    @property
    def failed(self) -> bool:
        """True when there is no value because the question could not be answered."""
        return bool(self.reason)


@dataclass(frozen=True)
class Observed:
    """Everything a reconciler may look at: its children, what it asked for, and why a child was refused last time."""

    children: tuple[Manifest, ...] = ()
    pods: tuple[Manifest, ...] = ()
    objects: Mapping[Ref, Manifest | None] = field(default_factory=dict)
    lists: Mapping[Select, tuple[Manifest, ...]] = field(default_factory=dict)
    facts: Mapping[Fact, Answer] = field(default_factory=dict)
    refused: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(kind, name) of a child -> the API server's message when it was refused in the last reconcile."""
    effects: Mapping[Effect, Answer] = field(default_factory=dict)
    """What came of the effects of the last reconcile; forgotten when the operator restarts."""
    platform: Platform = field(default_factory=lambda: Platform())

    def child(self, kind: str, name: str) -> Manifest | None:
        """The child of that kind and name, or None."""
        for child in self.children:
            if child.get("kind") == kind and child["metadata"]["name"] == name:
                return child
        return None

    def known(self, need: Need) -> bool:
        """True once the engine has looked up this need (whatever it found)."""
        return need in self.objects or need in self.lists or need in self.facts

    def fact(self, fact: Fact) -> Answer | None:
        """The answer of a fact, None while it was not asked yet."""
        return self.facts.get(fact)


@dataclass(frozen=True, slots=True)
class Platform:
    """What the installation gives every run: images and the artifact store (chart values)."""

    trainer_image: str = ""
    server_image: str = ""
    store_endpoint: str = ""
    store_region: str = "us-east-1"
    store_bucket: str = "modelyard"
    store_addressing: Addressing | None = None
    store_ca_bundle: str | None = None
    """PEM of authorities that the store's certificate may come from, beside the public ones."""
    store_proxy: str | None = None
    namespace: str = "modelyard"
    cluster_domain: str = "cluster.local"
    endpoint: str = ""
    """https:// address of the operator's endpoint for run pods."""
    endpoint_ca: str = ""
    """PEM of the authority that signs the endpoint's certificate."""
    refresh: bool = False
    """Servers that would have another image or another way to the store now are moved without being asked."""
    kserve: bool = False
    """The cluster serves KServe's API now."""

    @property
    def store(self) -> StoreConnection:
        """How the artifact store is reached."""
        return StoreConnection(
            endpoint=self.store_endpoint,
            region=self.store_region,
            addressing=self.store_addressing,
            ca_bundle=self.store_ca_bundle,
            proxy=self.store_proxy,
        )


Policy = Literal["apply", "create", "keep"]


@dataclass(frozen=True, slots=True)
class Child:
    """A wanted child: `apply` it each time, `create` it once (never patched), or `keep` it if it is still there.

    A child that exists and is not listed is deleted. `suspend` is the only field of a Job that is ever patched.
    """

    manifest: Manifest
    policy: Policy = "apply"
    suspend: bool | None = None
    owned: bool = True
    """Carries our ownerReference (the engine sets it), so it is observed as a child and goes with its owner."""

    @property
    def key(self) -> tuple[str, str]:
        """Kind and name."""
        return self.manifest["kind"], self.manifest["metadata"]["name"]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the story for `kubectl describe`; written when the reason of Ready or the phase changes."""

    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


@dataclass(frozen=True)
class Decision:
    """What should be: the whole status (None leaves it alone), the children, and when to look again (seconds)."""

    status: Manifest | None = None
    children: tuple[Child, ...] = ()
    events: tuple[Event, ...] = ()
    effects: tuple[Effect, ...] = ()
    wake_after: float | None = None
    finalizers: tuple[str, ...] | None = None
    """Our finalizers that the object should carry; None leaves them alone."""


@dataclass(frozen=True)
class Reconciler:
    """One kind and its behaviour; `permissions` are the RBAC rules that its children need."""

    kind: str
    plural: str
    namespaced: bool
    needs: Callable[[Manifest, Observed], Iterable[Need]]
    decide: Callable[[Manifest, Observed, datetime], Decision]
    children: tuple[str, ...] = ()
    """Kinds of the children that this reconciler makes."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the installation offers to KServe: the objects, and which of them (kind, name) InferenceServices use."""

    objects: Callable[[Platform], Iterable[Manifest]]
    used: Callable[[Iterable[Manifest]], set[tuple[str, str]]]
