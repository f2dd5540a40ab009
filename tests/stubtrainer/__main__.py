"""The stub's command: the trainer's own, with other stages between RunConfig and publishing."""

from __future__ import annotations

import sys

from modelyard_trainer import pipeline
from modelyard_trainer.command import main
from tests.stubtrainer import export, train

pipeline.STAGES["train"] = ("train", "export", "publish")
sys.modules |= {"modelyard_trainer.stages.train": train, "modelyard_trainer.stages.export": export}

if __name__ == "__main__":
    sys.exit(main())
