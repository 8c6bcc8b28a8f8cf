"""Few-shot learners. A learner holds what it learns beside a model (its rates), never the model itself.

``build(config, model)`` makes one; its ``trajectory(model, support, loss)`` gives the weights of each task before the
first and after each step. Those that meta-training improves have a ``meta_loss(model, episode, loss)`` too.
"""
