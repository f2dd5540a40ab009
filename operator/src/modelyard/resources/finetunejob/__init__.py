"""FineTuneJob: one way to make a model; from pinned inputs through one Job to a verified, judged version."""

from modelyard.decision import Room
from modelyard.resources.finetunejob.decide import decide, needs

ROOM = Room(
    "FineTuneJob",
    "finetunejobs",
    namespaced=True,
    needs=needs,
    decide=decide,
    children=("ConfigMap", "Job", "Dataset", "ModelVersion"),
)
