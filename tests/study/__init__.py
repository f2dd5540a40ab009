"""Which defaults learn: rates and steps over data sets of different kind; its table is docs/defaults.md."""
