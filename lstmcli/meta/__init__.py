"""Few-shot learners. A learner holds its own parameters (learned rates, scales), never the model's.

``build(config, model)`` makes one. Its ``trajectory(model, support, loss)`` yields the weights of each task before the
first and after each step; its ``meta_loss(model, episode, loss)`` is what meta-training minimises.
"""
