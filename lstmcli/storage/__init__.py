"""What lies on disk: checkpoints, run folders, examples, inputs and outputs of commands."""
