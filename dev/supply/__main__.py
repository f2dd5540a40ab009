"""`python -m dev.supply licenses | write-licenses [site-packages ...] | audit`."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

from dev.supply import audit, licenses


def main(words: list[str]) -> int:
    """Run one command."""
    match words:
        case ["licenses"]:
            faults = licenses.faults(licenses.locked(), licenses.table())
            print("\n".join(faults) or f"licences of {len(licenses.locked())} packages are allowed")
            return 1 if faults else 0
        case ["write-licenses", *sites]:
            licenses.write(map(Path, [*sites, *site.getsitepackages()]))
            return main(["licenses"])
        case ["audit"]:
            return audit.run(os.environ.get("UV", "uv"))
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
