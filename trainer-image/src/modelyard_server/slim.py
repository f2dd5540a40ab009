"""Start without what a server never uses: the SDK imports the Kubernetes client, a third of its import, for its own."""

from __future__ import annotations

import sys
from types import ModuleType

UNUSED = ("kubernetes", "kubernetes.client", "kubernetes.config", "kubernetes.watch")


class Absent(ModuleType):
    """Stands for a module that is imported but never used; calling anything of it fails by name."""

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")

    def __call__(self, *_: object, **__: object) -> None:
        """Refused."""
        raise RuntimeError(f"{self.__name__} is left out of the model server")


def leave_out_unused() -> None:
    """Must run before the SDK is imported; modules that are already there stay."""
    for name in UNUSED:
        sys.modules.setdefault(name, Absent(name))
