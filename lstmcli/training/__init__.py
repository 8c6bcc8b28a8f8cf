"""Training: the loop, the setup of a run, and one objective per kind of training."""
