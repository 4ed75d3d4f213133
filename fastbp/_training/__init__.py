"""Training: the state that it changes, the intake of samples, and the runs of epochs. Nothing here knows Trainer."""
