"""Use a model: assemble, score, predict, evaluate, adapt."""
