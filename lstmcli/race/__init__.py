"""The benchmark of learned and hand-designed optimisers."""
