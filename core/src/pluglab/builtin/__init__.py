"""The plugins that the core brings along: observers of a run, optimizers and schedules. No method."""
