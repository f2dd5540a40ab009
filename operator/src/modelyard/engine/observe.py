"""Observe: gather what a reconciler needs, asking again until it adds nothing (at most four rounds)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from modelyard.decision import Fact, Manifest, Need, Observed, Reconciler, Ref, Select
from modelyard.engine.cache import Key
from modelyard.engine.context import Context

ROUNDS = 4


class EndlessNeedsError(Exception):
    """A controller asks for something new in every round: what it decided would rest on half a picture."""


async def observe(reconciler: Reconciler, key: Key, obj: Manifest, context: Context) -> tuple[Observed, set[Need]]:
    """Everything the reconciler may look at, and all that it asked for (for the reverse index).

    Raises EndlessNeedsError if something is still asked for after the last round.
    """
    observed = Observed(
        children=context.cache.children(obj["metadata"]["uid"], obj["metadata"].get("namespace", "")),
        pods=context.cache.pods(key),
        refused=context.refused.get(key, {}),
        effects=context.outcomes.get(key, {}),
        platform=context.platform,
    )
    asked: set[Need] = set()
    for _ in range(ROUNDS):
        new = _unanswered(reconciler, obj, observed, asked)
        if not new:
            return observed, asked
        asked.update(new)
        context.index.add(key, new)  # before it is read: what changes while facts are asked must wake us
        observed = await _answer(observed, new, context)
    if still := _unanswered(reconciler, obj, observed, asked):
        raise EndlessNeedsError(f"still asked for after {ROUNDS} rounds: {', '.join(map(str, still[:3]))}")
    return observed, asked


def _unanswered(reconciler: Reconciler, obj: Manifest, observed: Observed, asked: set[Need]) -> list[Need]:
    return [need for need in dict.fromkeys(reconciler.needs(obj, observed)) if need not in asked]


async def _answer(observed: Observed, needs: Sequence[Need], context: Context) -> Observed:
    facts = [need for need in needs if isinstance(need, Fact)]
    answers = await asyncio.gather(*(context.facts.ask(fact) for fact in facts)) if facts else ()
    objects = {need: context.cache.get(need.kind, need.namespace, need.name) for need in needs if isinstance(need, Ref)}
    lists = {need: context.cache.select(need) for need in needs if isinstance(need, Select)}
    return replace(
        observed,
        objects={**observed.objects, **objects},
        lists={**observed.lists, **lists},
        facts={**observed.facts, **dict(zip(facts, answers, strict=True))},
    )
