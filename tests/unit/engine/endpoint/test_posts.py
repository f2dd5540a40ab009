from __future__ import annotations

import json
from typing import Any

import pytest

from modelyard.api.progress import BadPostError, parse_post
from modelyard.engine.endpoint.limits import Limit
from modelyard.engine.endpoint.refusal import Refused


def body(**status: Any) -> bytes:
    return json.dumps({"trainerStatus": status}).encode()


def metric(name: str, value: Any) -> dict[str, Any]:
    return {"name": name, "value": value}


def test_what_stock_trainer_sends() -> None:
    metrics = [metric("loss", "0.31"), metric("grad_norm", "1.5"), metric("current_step", "41")]
    times = {"lastUpdatedTime": "2026-11-22T10:00:00+00:00", "estimatedRemainingSeconds": 9}
    told = parse_post(body(progressPercentage=41, metrics=metrics, **times))
    assert (told.progress_percentage, told.metric("loss"), told.count("current_step")) == (41, 0.31, 41)
    assert (told.metric("eval_loss"), told.count("total_steps")) == (None, None)


BAD = {
    "NaN as text": (
        body(metrics=[metric("loss", "nan")]),
        "metrics.0.value: Value error, must be a finite",
    ),
    "infinity as text": (body(metrics=[metric("loss", "-inf")]), "finite"),
    "NaN": (b'{"trainerStatus": {"metrics": [{"name": "loss", "value": NaN}]}}', "NaN is no JSON number"),
    "Infinity": (b'{"trainerStatus": {"progressPercentage": Infinity}}', "Infinity is no JSON number"),
    "huge number": (b'{"trainerStatus": {"metrics": [{"name": "loss", "value": 1e999}]}}', "finite"),
    "no number": (body(metrics=[metric("loss", "low")]), "metrics.0.value"),
    "no name": (body(metrics=[metric("", "1")]), "metrics.0.name"),
    "long name": (body(metrics=[metric("x" * 200, "1")]), "metrics.0.name"),
    "101 metrics": (body(metrics=[metric(f"m{i}", "1") for i in range(101)]), "at most 100 items"),
    "percent": (body(progressPercentage=101), "progressPercentage"),
    "negative percent": (body(progressPercentage=-1), "progressPercentage"),
    "stage": (body(stage="<script>"), "stage"),
    "empty": (b"", "not JSON"),
    "not JSON": (b"{", "not JSON"),
    "not UTF-8": (b"\xff\xfe\x00", "not JSON"),
    "a list": (b"[]", "body"),
    "nothing": (b"{}", "trainerStatus"),
    "deep": (b"[" * 60_000, "nested too deeply"),
    "deep and closed": (b'{"trainerStatus":' + b'{"a":' * 5000 + b"1" + b"}" * 5001, "nested too deeply"),
    "long digits": (b'{"trainerStatus": {"progressPercentage": ' + b"9" * 10_000 + b"}}", "not JSON"),
    "too large": (b" " * 65_537, "at most 65536"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(name: str) -> None:
    content, told = BAD[name]
    with pytest.raises(BadPostError) as caught:
        parse_post(content)
    assert told in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_a_pod_may_burst_but_not_flood() -> None:
    now = [0.0]
    limit = Limit(3, 10.0, lambda: now[0])
    for _ in range(3):
        limit.take("a")
    with pytest.raises(Refused) as caught:
        limit.take("a")
    assert caught.value.status == 429
    limit.take("b")
    now[0] = 10.0
    limit.take("a")
    with pytest.raises(Refused):
        limit.take("a")
