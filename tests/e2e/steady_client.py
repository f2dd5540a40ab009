"""In a pod: as many requests a second as asked, half of them over kept connections; tells each that is not answered.

python steady_client.py HOST PORT PATH RATE SECONDS, with the body in /body/body.json. Prints a JSON object per line:
{"at": seconds since 1970, "kept": whether over a kept connection, "fault": why not} for a request that was not
answered with 200, and {"second": ..., "answers": {version: number}} for each second. At most WORKERS requests are under
way; what is late by more than a second is left out.
"""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
import time
from collections import Counter, defaultdict
from pathlib import Path

HOST, PORT, PATH = sys.argv[1], int(sys.argv[2]), sys.argv[3]
RATE, SECONDS = float(sys.argv[4]), float(sys.argv[5])
BODY = Path("/body/body.json").read_bytes()
WORKERS = 16
PATIENCE = 10.0
LOCK = threading.Lock()
ANSWERS: defaultdict[int, Counter[str]] = defaultdict(Counter)


class Worker(threading.Thread):
    """One request after the other, each at its time."""

    def __init__(self, number: int) -> None:
        super().__init__(daemon=True)
        self._kept = number % 2 == 0
        self._connection: http.client.HTTPConnection | None = None
        self._first = time.time() + number / RATE

    def run(self) -> None:
        """Until the time is over."""
        due = self._first
        while due < self._first + SECONDS:
            time.sleep(max(0.0, due - time.time()))
            due = max(due + WORKERS / RATE, time.time() - 1)
            began = time.time()
            try:
                version = self._ask()
            except (OSError, http.client.HTTPException, ValueError) as fault:
                self._connection = None
                tell(at=began, kept=self._kept, fault=f"{type(fault).__name__}: {fault}")
                continue
            with LOCK:
                ANSWERS[int(began)][version] += 1

    def _ask(self) -> str:
        connection = self._connection or http.client.HTTPConnection(HOST, PORT, timeout=PATIENCE)
        connection.request("POST", PATH, BODY, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        data = answer.read()
        self._connection = connection if self._kept and not answer.will_close else None
        if self._connection is None:
            connection.close()
        if answer.status != 200:
            raise ValueError(f"{answer.status} {data[:200]!r}")
        return str(json.loads(data)["version"])


def tell(**line: object) -> None:
    """A line."""
    with LOCK:
        print(json.dumps(line), flush=True)


def known() -> bool:
    """Whether the address has a name yet; before, there is nothing to ask."""
    try:
        return bool(socket.getaddrinfo(HOST, PORT))
    except OSError:
        return False


while not known():
    time.sleep(0.05)
tell(began=time.time())
workers = [Worker(number) for number in range(WORKERS)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join(SECONDS + 2 * PATIENCE)
for second, answers in sorted(ANSWERS.items()):
    tell(second=second, answers=answers)
tell(ended=time.time())
