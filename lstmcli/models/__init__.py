"""Batch to Scores, nothing else."""
