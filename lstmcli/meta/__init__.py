"""Few-shot learners: around a model, with one verb, adapt."""
