"""Renewal: the provider on a clock and with answers of the test's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from modelyard import names
from modelyard.storage import credentials
from modelyard.storage.credentials import EndpointProvider, provider_from_environment
from modelyard.storage.errors import Denied, StoreError, Unavailable
from modelyard.storage.store import Store


class Bench(EndpointProvider):
    """Answers come from `answers`: keys that last so many seconds, or a fault."""

    def __init__(self, patience: float = 600.0) -> None:
        super().__init__("https://operator/credentials", "", Path(), patience)
        self.answers: list[float | StoreError] = []
        self.at = 0.0
        self.asked = 0
        self._now, self._sleep = lambda: self.at, self._pass

    def _pass(self, seconds: float) -> None:
        self.at += seconds

    def _ask(self) -> dict[str, Any]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, StoreError):
            raise answer
        end = (datetime.now(UTC) + timedelta(seconds=answer)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {"AccessKeyId": f"key-{self.asked}", "SecretAccessKey": "s", "Token": "t", "Expiration": end}


def key(bench: Bench) -> str:
    return str(bench.retrieve().access_key)


def test_keys_are_renewed_at_half_of_their_life() -> None:
    bench = Bench()
    bench.answers = [3600]
    assert [key(bench), key(bench)] == ["key-1", "key-1"]
    bench.at = 1799
    assert key(bench) == "key-1"
    bench.at = 1801
    assert key(bench) == "key-2"


def test_an_operator_that_is_away_costs_nothing_while_keys_last() -> None:
    bench = Bench()
    bench.answers = [3600, Unavailable("no answer")]
    assert key(bench) == "key-1"
    for bench.at in range(1800, 3570, 10):
        assert key(bench) == "key-1"
    assert 50 < bench.asked < 200, "asked again every few seconds, not at each call"
    bench.answers = [3600]
    bench.at = 3580
    assert key(bench) != "key-1"


def test_without_keys_a_pod_waits_for_the_operator() -> None:
    bench = Bench()
    bench.answers = [*[Unavailable("no answer")] * 20, 3600]
    assert key(bench) == "key-21"
    assert 100 < bench.at < 300


def test_patience_ends() -> None:
    bench = Bench(patience=600)
    bench.answers = [Unavailable("no answer")]
    with pytest.raises(Unavailable):
        bench.retrieve()
    assert 500 < bench.at <= 600


def test_a_refusal_is_believed_after_a_minute() -> None:
    bench = Bench()
    bench.answers = [Denied("there is no pod"), Denied("there is no pod"), 3600]
    assert key(bench) == "key-3"
    bench = Bench()
    bench.answers = [Denied("there is no pod")]
    with pytest.raises(Denied):
        bench.retrieve()
    assert 40 < bench.at <= 60


def test_a_store_without_sts_is_final() -> None:
    bench = Bench()
    fault = credentials._refusal(501, "x", {"reason": names.NO_STS, "message": "set spec.store.secret"})
    bench.answers = [fault]
    with pytest.raises(Denied) as caught:
        bench.retrieve()
    assert (caught.value.reason, caught.value.message, bench.at) == ("StoreWithoutSts", "set spec.store.secret", 0)


def test_expired_keys_are_never_used() -> None:
    bench = Bench()
    bench.answers = [3600, Unavailable("no answer"), Unavailable("no answer"), 3600]
    assert key(bench) == "key-1"
    bench.at = 3590
    assert key(bench) == "key-4"


def test_the_address_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert provider_from_environment({}) is None
    assert provider_from_environment({"MODELYARD_CREDENTIALS_URL": "https://x"}) is not None
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("MODELYARD_CREDENTIALS_URL", "https://127.0.0.1:9/credentials")
    monkeypatch.setenv("MODELYARD_CREDENTIALS_TOKEN", str(tmp_path / "token"))
    monkeypatch.setenv("MODELYARD_CREDENTIALS_PATIENCE", "0")
    (tmp_path / "token").write_text("t")
    with pytest.raises(Unavailable, match="no store keys from"):
        Store.from_environment("http://127.0.0.1:9").get("bucket", "key")
