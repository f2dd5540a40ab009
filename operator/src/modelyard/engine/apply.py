"""Apply: carry a decision out. Status first, once and only if it changed; then finalizers, children, and effects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

from modelyard import names
from modelyard.api.crd import structural_schema
from modelyard.api.kinds import KINDS
from modelyard.decision import Child, Decision, Effect, Manifest, Observed, Reconciler
from modelyard.engine.cache import Key, key_of
from modelyard.engine.context import Context
from modelyard.engine.kube import RESOURCES, KubeError
from modelyard.engine.slim import slim_meta

log = logging.getLogger(__name__)
Schema = Mapping[str, Any]
REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.CONFLICT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
)


class RefusedError(Exception):
    """The API server refused a child; the reconciler is told in the next reconcile."""


@dataclass(frozen=True)
class Done:
    """What a reconcile wrote: the status, and something outside that is worth another look at once."""

    status: bool
    news: bool


async def carry_out(
    reconciler: Reconciler, obj: Manifest, observed: Observed, decision: Decision, context: Context
) -> Done:
    """Write what the decision says and nothing else. Raises to be tried again."""
    key = key_of(obj)
    obj, written = await _write_status(obj, decision.status, context)
    if decision.finalizers is not None:
        await _write_finalizers(obj, decision.finalizers, context)
    await _prune(reconciler, observed, decision, context)
    refused = await _ensure_all(obj, decision.children, context)
    if refused:
        context.refused[key] = refused
        raise RefusedError("; ".join(refused.values()))
    context.refused.pop(key, None)
    return Done(written, await _take_effect(key, decision.effects, context))


async def _take_effect(key: Key, effects: Sequence[Effect], context: Context) -> bool:
    """One after the other, now that the status says why; True if anything came of it that was not known before."""
    before = context.outcomes.get(key, {})
    found = {effect: await context.effects.carry_out(effect) for effect in effects}
    context.outcomes.pop(key, None)
    if found:
        context.outcomes[key] = found
    return any(before.get(effect) != answer for effect, answer in found.items())


async def _write_status(obj: Manifest, status: Manifest | None, context: Context) -> tuple[Manifest, bool]:
    if status is None:
        return obj, False
    change = merge_patch(obj.get("status", {}), status, status_schema(obj["kind"]))
    if not change:
        return obj, False
    meta = obj["metadata"]
    body = {"metadata": {"resourceVersion": meta["resourceVersion"]}, "status": change}
    kind, namespace, name = key_of(obj)
    written = await context.kube.patch(kind, namespace, name, body, "status")
    context.learn(written)
    return written, True


async def _write_finalizers(obj: Manifest, wanted: tuple[str, ...], context: Context) -> None:
    meta = obj["metadata"]
    now = list(meta.get("finalizers", ()))
    others = [name for name in now if not name.startswith(f"{names.GROUP}/")]
    if now == [*others, *wanted]:
        return
    body = {"metadata": {"resourceVersion": meta["resourceVersion"], "finalizers": [*others, *wanted]}}
    kind, namespace, name = key_of(obj)
    context.learn(await context.kube.patch(kind, namespace, name, body))


async def _prune(reconciler: Reconciler, observed: Observed, decision: Decision, context: Context) -> None:
    wanted = {child.key for child in decision.children}
    for child in observed.children:
        key, meta = key_of(child), child["metadata"]
        if key[0] not in reconciler.children or (key[0], key[2]) in wanted or "deletionTimestamp" in meta:
            continue
        if await context.kube.delete(*key, meta["uid"]):
            context.cache.end(child)


async def _ensure_all(obj: Manifest, children: tuple[Child, ...], context: Context) -> dict[tuple[str, str], str]:
    """Ensure all children side by side, new Jobs after what they read; the messages of those that were refused.

    A Job whose ConfigMap was refused is not made: its pod would wait for it without a word.
    """
    todo = [child for child in children if not _stands(obj, child, context)]
    last = [child for child in todo if child.key[0] == "Job" and context.cache.get(*_key(obj, child)) is None]
    refused = await _ensure_each(obj, [child for child in todo if child not in last], context)
    return refused or await _ensure_each(obj, last, context)


async def _ensure_each(obj: Manifest, todo: Sequence[Child], context: Context) -> dict[tuple[str, str], str]:
    results = await asyncio.gather(*(_ensure(obj, child, context) for child in todo), return_exceptions=True)
    refused: dict[tuple[str, str], str] = {}
    silent = {_key(obj, c) for c, r in zip(todo, results, strict=True) if isinstance(r, KubeError) and r.status == 0}
    if silent:
        context.unanswered.setdefault(key_of(obj), set()).update(silent)
    for child, result in zip(todo, results, strict=True):
        if isinstance(result, KubeError) and _is_refusal(result):
            refused[child.key] = result.message
        elif isinstance(result, BaseException):
            raise result
    return refused


def _is_refusal(fault: KubeError) -> bool:
    """True when the reconciler has to be told: refused, or a webhook that is asked first does not answer."""
    return (fault.status in REFUSALS and fault.reason != "Conflict") or names.WEBHOOK_SILENT in fault.message


def _stands(owner: Manifest, child: Child, context: Context) -> bool:
    """True when the child is as it should be: in most reconciles there is nothing to send."""
    live = context.cache.get(*_key(owner, child))
    if live is None:
        return child.policy == "keep"
    as_wanted = child.policy != "apply" or _is_as(live, set_owner_and_labels(owner, child))
    return as_wanted and (child.suspend is None or not _differs_in_suspend(live, child.suspend))


def _key(owner: Manifest, child: Child) -> Key:
    kind, name = child.key
    return kind, owner["metadata"].get("namespace", "") if RESOURCES[kind].namespaced else "", name


async def _ensure(owner: Manifest, child: Child, context: Context) -> None:
    wanted = set_owner_and_labels(owner, child)
    live = context.cache.get(*key_of(wanted))
    if live is None and child.policy != "keep":
        live = await _make(wanted, child, context)
    elif live is not None and child.policy == "apply" and not _is_as(live, wanted):
        _refuse_foreign(live, wanted, child)
        live = await context.kube.apply(wanted)
        context.learn(live)
    if live is not None and child.suspend is not None:
        await _set_suspend(live, child.suspend, context)


async def _make(wanted: Manifest, child: Child, context: Context) -> Manifest:
    if child.policy == "apply":
        # The cache holds only what carries our label: an object of somebody else's must not be taken over.
        if (there := await context.kube.get(*key_of(wanted))) is not None:
            _refuse_foreign(there, wanted, child)
        made = await context.kube.apply(wanted)
    else:
        made = await _create(wanted, child, context)
    context.learn(made)
    return made


async def _create(wanted: Manifest, child: Child, context: Context) -> Manifest:
    """POST; a child that is there already is accepted if it is ours (a reconciler judges what it does not own)."""
    if child.suspend is not None:
        wanted = {**wanted, "spec": {**wanted["spec"], "suspend": child.suspend}}
    try:
        return await context.kube.create(wanted)
    except KubeError as fault:
        if fault.status != HTTPStatus.CONFLICT:
            raise
    live = await context.kube.get(*key_of(wanted))
    if live is None:
        raise KubeError(0, f"{child.key} was there and is gone", "Race")
    _refuse_foreign(live, wanted, child)
    return live


def _refuse_foreign(live: Manifest, wanted: Manifest, child: Child) -> None:
    if child.owned and not _same_owner(live, wanted):
        text = f"{child.key[0]} {child.key[1]} exists and belongs to something else: delete or rename it"
        raise KubeError(HTTPStatus.CONFLICT, text)


async def _set_suspend(live: Manifest, suspend: bool, context: Context) -> None:
    if _differs_in_suspend(live, suspend):
        context.learn(await context.kube.patch(*key_of(live), {"spec": {"suspend": suspend}}))


def _differs_in_suspend(live: Manifest, suspend: bool) -> bool:
    return bool(live["spec"].get("suspend", False)) != suspend and "deletionTimestamp" not in live["metadata"]


def set_owner_and_labels(owner: Manifest, child: Child) -> Manifest:
    """The manifest as it is sent: namespace, ownerReference, and the labels by which it finds its owner again."""
    manifest, meta = child.manifest, owner["metadata"]
    marks = {
        "labels": {
            names.MANAGED_BY: names.MANAGED_BY_VALUE,
            names.LABEL_KIND: owner["kind"].lower(),
            names.LABEL_OWNER: names.short_hash(meta["name"]),
        },
        "annotations": {names.ANNOTATION_OWNER: meta["name"]},
    }
    marked = {**manifest, "metadata": _marked(manifest["metadata"], marks)}
    if RESOURCES[manifest["kind"]].namespaced:
        marked["metadata"]["namespace"] = meta.get("namespace", "")
    if child.owned:
        marked["metadata"]["ownerReferences"] = [_reference(owner)]
    template = manifest.get("spec", {}).get("template")
    if template:
        template = {**template, "metadata": _marked(template.get("metadata", {}), marks)}
        marked["spec"] = {**manifest["spec"], "template": template}
    return marked


def _marked(meta: Manifest, marks: dict[str, dict[str, str]]) -> Manifest:
    return {**meta, **{field: {**meta.get(field, {}), **values} for field, values in marks.items()}}


def _reference(owner: Manifest) -> Manifest:
    meta = owner["metadata"]
    return {
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": meta["name"],
        "uid": meta["uid"],
        "controller": True,
        "blockOwnerDeletion": False,
    }


def _same_owner(live: Manifest, wanted: Manifest) -> bool:
    uids = {ref["uid"] for ref in live["metadata"].get("ownerReferences", ())}
    return wanted["metadata"]["ownerReferences"][0]["uid"] in uids


def _is_as(live: Manifest, wanted: Manifest) -> bool:
    """Compared by what is kept of an object."""
    return covers(live, {**wanted, "metadata": slim_meta(wanted)})


def covers(live: Any, wanted: Any) -> bool:
    """True when every field of `wanted` stands in `live`; what the API server added does not matter."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(k in live and covers(live[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(covers(a, b) for a, b in zip(live, wanted, strict=True))
        )
    return bool(live == wanted)


def merge_patch(old: Manifest, new: Manifest, schema: Schema | None = None) -> Manifest:
    """The JSON merge patch (RFC 7396) that turns `old` into `new`; empty if they are equal.

    What the schema (if there is one) does not know is left: a newer release wrote it.
    """
    patch: Manifest = {key: None for key in old if key not in new and _is_known(key, schema)}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            if inner := merge_patch(before, value, _below(key, schema)):
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch


@cache
def status_schema(kind: str) -> Schema | None:
    """What this release knows of a kind's status; None for a kind that is not ours."""
    found = next((known for known in KINDS if known.kind == kind), None)
    return structural_schema(found.status, defaults=False) if found else None


def _is_known(key: str, schema: Schema | None) -> bool:
    return not schema or "additionalProperties" in schema or key in schema.get("properties", {})


def _below(key: str, schema: Schema | None) -> Schema | None:
    if not schema:
        return None
    found = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
    return found if isinstance(found, dict) else None
