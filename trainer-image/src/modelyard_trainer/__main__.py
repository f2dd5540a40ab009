"""Starts the command; whoever asks it to end while it is still being imported is not kept waiting."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """As command.main."""
    # The first process of a container ignores SIGTERM until it says what it does with it.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(128 + number))
    from modelyard_trainer import command

    return command.main()


if __name__ == "__main__":
    sys.exit(main())
