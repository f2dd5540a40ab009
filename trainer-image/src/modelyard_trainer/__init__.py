"""The trainer: what runs inside the pod of a Dataset or of a FineTuneJob."""
