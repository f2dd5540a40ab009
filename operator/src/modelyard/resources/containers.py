"""What every container of ours has, whether it trains or serves: the `restricted` settings and keys from a Secret."""

from __future__ import annotations

from typing import Any

KEY_NAMES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
CONFINED: dict[str, Any] = {
    "securityContext": {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    },
    "terminationMessagePolicy": "FallbackToLogsOnError",
}


def keys_from(secret: str, prefix: str = "") -> list[dict[str, Any]]:
    """The store key in a Secret as environment variables, their names behind `prefix`."""
    entries = ((prefix + key, {"name": secret, "key": key}) for key in KEY_NAMES)
    return [{"name": name, "valueFrom": {"secretKeyRef": place}} for name, place in entries]
