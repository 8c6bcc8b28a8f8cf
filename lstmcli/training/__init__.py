"""Making a model: the loop, what it begins with, and one objective per kind of training."""
