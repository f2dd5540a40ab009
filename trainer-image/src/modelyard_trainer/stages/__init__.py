"""The steps of a run, one file each with the same signature: execute(run)."""
