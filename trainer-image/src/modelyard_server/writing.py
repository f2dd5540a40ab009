"""Answers that are written token by token, several at a time: requests join and leave between two steps."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from modelyard_server import metrics
from modelyard_server.line import BusyError
from modelyard_server.load import Loaded
from modelyard_server.predictor import Left, Predictor, always
from modelyard_trainer.tasks.decoding import Memory, Running
from modelyard_trainer.tasks.drafts import Draft
from modelyard_trainer.tasks.protocols import Codec, Output, Reading

log = logging.getLogger("modelyard_server")
JOINING = 2048
"""Tokens of prompts, with padding, that are read at once: those who are being written for wait so long."""
LOOKS = 0.05
"""Seconds after which a request in a thread looks whether it is still wanted."""


@runtime_checkable
class WritingCodec(Codec, Protocol):
    """A codec whose answers are written token by token through the graph `model`."""

    memory: Memory
    pad: int

    def draft(self, reading: Reading) -> Draft | None:
        """An answer without a token yet; None for a row that is answered in one go."""


class Expired(Exception):
    """The answer was not complete in time."""


@dataclass(eq=False)
class Order:
    """An answer that is asked for. Its fields are set by the thread that writes; `tell` is called from there."""

    prompt: list[int]
    draft: Draft
    until: float
    tell: Callable[[], object]
    said: str = ""
    """What of the text is certain."""
    fault: Exception | None = None
    done: threading.Event = field(default_factory=threading.Event)
    unwanted: bool = False
    token: int = 0

    def cancel(self) -> None:
        """Nobody waits any more: its place is free after the step that runs."""
        self.unwanted = True

    def take(self, logits: Any) -> None:
        """The next token."""
        self.token = self.draft.take(logits)
        metrics.TOKENS.inc()
        self.said = self.draft.said
        if self.draft.reason:
            self.done.set()
        self.tell()

    def give_up(self, fault: Exception) -> None:
        """It will not be complete."""
        self.fault = fault
        self.done.set()
        self.tell()


class Writer:
    """Writes at most `places` answers at once, in a thread of its own; `waiting` more wait for a place."""

    def __init__(self, loaded: Loaded, codec: WritingCodec, places: int, waiting: int, seconds: float) -> None:
        self._codec, self._graph = codec, loaded.graphs["model"]
        self._places, self._most, self._seconds = places, waiting, seconds
        self._waiting = deque[Order]()
        self._active = list[Order]()
        self._news = threading.Condition()
        self._running = self._fresh()
        threading.Thread(target=self._write, name="write", daemon=True).start()

    def order(
        self, reading: Reading, draft: Draft, tell: Callable[[], object] = lambda: None, admitted: bool = False
    ) -> Order:
        """Ask for an answer; BusyError at once if too many wait already, unless the request stood in line before."""
        made = Order(reading.inputs["input_ids"].tolist(), draft, time.monotonic() + self._seconds, tell)
        with self._news:
            if not admitted and len(self._waiting) >= self._most:
                metrics.REFUSED.inc()
                raise BusyError(
                    f"{len(self._waiting)} answers are waiting to be written already: come again, ask for fewer at "
                    "once, or raise spec.serve.replicas of the ModelDeployment"
                )
            self._waiting.append(made)
            self._news.notify()
        return made

    def _write(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._waiting or self._active)
            try:
                self._step()
            except Exception as fault:  # what cannot be computed must not end the server
                log.exception("writing failed")
                for order in self._active:
                    order.give_up(fault)
                self._active, self._running = [], self._fresh()

    def _step(self) -> None:
        """Those who are complete or left go, the others get a token, and others join."""
        kept = [row for row, order in enumerate(self._active) if self._goes_on(order)]
        self._running.keep(kept)
        self._active = [self._active[row] for row in kept]
        metrics.WRITING.set(len(self._active))
        if self._active:
            found = self._running.step([order.token for order in self._active])
            for order, logits in zip(self._active, found, strict=True):
                order.take(logits)
        joined = self._joining()
        if joined:
            for order in joined:
                self._active.append(order)
            for order, logits in zip(joined, self._running.add([order.prompt for order in joined]), strict=True):
                order.take(logits)

    def _joining(self) -> list[Order]:
        """The first of those who wait, as many as there are places for and may be read at once."""
        found, longest = list[Order](), 0
        with self._news:
            while self._waiting and len(self._active) + len(found) < self._places:
                order = self._waiting[0]
                longest = max(longest, len(order.prompt))
                if found and longest * (len(found) + 1) > JOINING:
                    break
                self._waiting.popleft()
                if self._goes_on(order):
                    found.append(order)
        return found

    @staticmethod
    def _goes_on(order: Order) -> bool:
        if order.done.is_set():
            return False
        if order.unwanted:
            order.give_up(Left())
        elif time.monotonic() > order.until:
            order.give_up(Expired("the answer was not complete in time: ask for fewer tokens, or come again"))
        return not order.done.is_set()

    def _fresh(self) -> Running:
        return Running(self._graph, self._codec.memory, self._codec.pad)


class WritingPredictor(Predictor):
    """Rows whose answers are written join those of other requests; the others are answered as ever."""

    def __init__(self, loaded: Loaded, codec: WritingCodec, writer: Writer) -> None:
        super().__init__(loaded)
        self._codec, self._writer = codec, writer

    def outputs(self, read: Sequence[Reading], wanted: Callable[[], bool] = always) -> list[Output]:
        """Outputs in the order of the rows; Left once they are not wanted any more."""
        drafts = [self._codec.draft(reading) for reading in read]
        plain = [row for row, draft in enumerate(drafts) if draft is None]
        found = dict(zip(plain, super().outputs([read[row] for row in plain], wanted), strict=True)) if plain else {}
        orders: dict[int, Order] = {}
        try:
            for row, draft in enumerate(drafts):
                if draft is not None:
                    orders[row] = self._writer.order(read[row], draft, admitted=True)
            for row, order in orders.items():
                found[row] = finished(order, wanted)
        finally:
            for order in orders.values():
                order.cancel()
        return [found[row] for row in range(len(read))]


def finished(order: Order, wanted: Callable[[], bool] = always) -> Output:
    """The answer when it is complete; Left once it is not wanted, Expired if it took too long."""
    while not order.done.wait(LOOKS):
        if not wanted():
            raise Left
    if order.fault is not None:
        raise order.fault
    return order.draft.done()
