"""What a task means: loss, decoding, metrics, baselines."""
