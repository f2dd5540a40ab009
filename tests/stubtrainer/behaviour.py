"""What a stub run does: written as `stub` into the config.json of the base model that it starts from."""

from __future__ import annotations

import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from modelyard import names


class Behaviour(BaseModel):
    """Times in seconds; by default twenty quick steps and a version that passes most gates."""

    model_config = ConfigDict(extra="forbid")

    steps: int = 20
    seconds_per_step: float = 0.0
    macro_f1: float = 0.95
    at: int = 10
    """Step at which `ends`, `memory` or `disk` happens."""
    ends: str = "published"
    """published, nothing (exit 0 without a result), crash (exit 1 without a word), or a name of ExitCode."""
    memory: int = 0
    """MiB that step `at` takes."""
    disk: int = 0
    """MiB that step `at` writes."""
    sigterm: Literal["save", "ignore", "succeed"] = "save"
    """As the trainer does; not at all; or as a script that ends with 0."""
    weights: int = 0
    """MiB of weights in the version, for uploads that take a while."""
    loads: bool = True
    """False: the version's model is no model, though every file is what its manifest says."""

    def base(self) -> dict[str, bytes]:
        """The files of a base model that asks for this."""
        from tests.e2e.tinybase import base_files

        asked = self.model_dump(exclude_defaults=True)
        files = base_files()
        config = {**json.loads(files["config.json"]), "stub": asked}
        return {**files, "config.json": json.dumps(config, sort_keys=True).encode()}

    @property
    def uri(self) -> str:
        """Where tests put that base model; another behaviour lies elsewhere."""
        asked = json.dumps(self.model_dump(exclude_defaults=True), sort_keys=True)
        return f"s3://base/stub-{names.short_hash(asked)}/"


def read(config: bytes) -> Behaviour:
    """The behaviour in a base model's config.json; any other base model gets the default."""
    told: dict[str, Any] = json.loads(config).get("stub", {})
    return Behaviour.model_validate(told)
