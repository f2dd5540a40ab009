"""A trainer image without torch, for tests that are not about training: it starts in a second and keeps the contract.

Everything but the stages before `publish` is the real trainer's own code: RunConfig, progress, SIGTERM, checkpoints,
publishing, report, termination message and exit codes; a Dataset is prepared as ever. What it does instead of training
is told by the base model (behaviour.py), so that each behaviour is another run. Its version answers real predictions.
"""
