"""Whatever a trainer of somebody else's makes: only the rows are ours."""
