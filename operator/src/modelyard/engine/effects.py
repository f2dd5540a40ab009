"""Effects on the artifact store: what a decision asks to be done once its status stands; each may be repeated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from modelyard.decision import Answer, Effect
from modelyard.engine import metrics
from modelyard.engine.facts import FactFunction, answer_of
from modelyard.storage.claims import claim_number, spend_number
from modelyard.storage.store import Store
from modelyard.storage.sweep import sweep

Args = Mapping[str, str]


class Effects:
    """Carries out what it has a function for; faults become answers."""

    def __init__(self, functions: Mapping[str, FactFunction]) -> None:
        self._functions = functions

    async def carry_out(self, effect: Effect) -> Answer:
        """Do it, however often it was done before."""
        with metrics.timed(metrics.FACT_SECONDS.labels(effect.name)):
            answer = await answer_of(self._functions[effect.name], dict(effect.args))
        metrics.FACTS.labels(effect.name, answer.reason or "ok").inc()
        return answer


class StoreEffects:
    """What is done to one bucket."""

    def __init__(self, store: Store, bucket: str) -> None:
        self._store, self._bucket = store, bucket

    @property
    def functions(self) -> dict[str, Callable[[Args], Any]]:
        """Name of the effect -> blocking function."""
        return {"claim_number": self._claim_number, "delete_version": self._delete_version, "sweep": self._sweep}

    def _claim_number(self, args: Args) -> int:
        """A `run` of a `model` gets its version number, the one that it has or the next."""
        return claim_number(self._store, self._bucket, args["namespace"], args["model"], args["run"])

    def _delete_version(self, args: Args) -> bool:
        """Nothing is left below a `prefix`; the version's `number` is spent before."""
        spend_number(self._store, self._bucket, args["namespace"], args["model"], int(args["number"]))
        self._store.delete_prefix(self._bucket, args["prefix"])
        return True

    def _sweep(self, args: Args) -> bool:
        """Nothing of the `epoch` is left below a `prefix` but what the manifest of its part `published` names."""
        sweep(self._store, self._bucket, args["prefix"], args["published"], args["epoch"])
        return True
