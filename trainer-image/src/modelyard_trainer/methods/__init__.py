"""How weights are adapted: one file per method behind one table (protocols.py)."""

from __future__ import annotations

from modelyard_trainer.methods import ada_lora, full, head, ia3, layer_norm, lora
from modelyard_trainer.methods.protocols import MethodModule

METHODS: dict[str, MethodModule] = {
    "full": full,
    "lora": lora,
    "head": head,
    "layerNorm": layer_norm,
    "ia3": ia3,
    "adaLora": ada_lora,
}


def method_named(name: str) -> MethodModule:
    """The method; the API allows only names of this table."""
    return METHODS[name]
