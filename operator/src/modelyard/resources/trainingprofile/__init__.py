"""TrainingProfile: what the platform team offers to runs; it has no children and is read by those who name it."""

from modelyard.decision import Room
from modelyard.resources.trainingprofile.decide import decide, needs

ROOM = Room("TrainingProfile", "trainingprofiles", namespaced=False, needs=needs, decide=decide)
