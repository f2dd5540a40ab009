"""A store that contradicts itself is not swept: what was published must not go because of one wrong read."""

from __future__ import annotations

import pytest

from modelyard.api import layout
from modelyard.api.run import Manifest
from modelyard.engine.effects import StoreEffects
from modelyard.engine.facts.store import StoreFacts
from modelyard.storage.errors import Missing, Unavailable
from modelyard.storage.sweep import sweep
from tests.simulation import clock
from tests.simulation.fake_store import BUCKET, FakeStore, file_entry

RUN = "ns/team/models/m/runs/r1/"
VERSION = layout.version_prefix(RUN)


class Mistaken(FakeStore):
    """Says once of a manifest that it is missing, or gives another one."""

    def __init__(self, instead: bytes | None) -> None:
        super().__init__()
        self.instead = instead

    def get(self, bucket: str, key: str) -> bytes:
        if self.instead is None:
            raise Missing(f"no {key}")
        return self.instead


@pytest.mark.parametrize("instead", [None, Manifest(kind="model", files=[file_entry("a.onnx", 1)], info={}).to_bytes()])
def test_published_files_stay_when_the_manifest_is_read_wrongly(instead: bytes | None) -> None:
    async def play() -> None:
        store = Mistaken(instead)
        manifest = Manifest(kind="model", files=[file_entry("model.onnx", 10)], info={})
        store.objects[BUCKET, layout.manifest_key(VERSION)] = (manifest.to_bytes(), 100)
        store.objects[BUCKET, layout.file_key(VERSION, "sha256:1", "model.onnx", "")] = (b"x", 10)
        with pytest.raises(Unavailable, match="nothing is swept"):
            sweep(store, BUCKET, RUN, VERSION)
        assert len(store.objects) == 2

    clock.run(play())


def test_a_number_is_spent_before_its_files_go() -> None:
    async def script() -> None:
        store = FakeStore()
        number, effects = StoreFacts(store, BUCKET).functions["number"], StoreEffects(store, BUCKET).functions
        asked = {"namespace": "team", "model": "m", "run": "r1", "prefix": RUN}
        assert (number(asked), effects["claim_number"](asked), number(asked)) == (None, 1, 1)
        assert effects["delete_version"]({**asked, "number": "1"}) is True
        assert number(asked) is None
        assert effects["claim_number"](asked) == 2

    clock.run(script())
