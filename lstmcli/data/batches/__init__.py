"""From examples to batches: encoded texts, batching, windows of a token stream, episodes, and the check of the data."""
