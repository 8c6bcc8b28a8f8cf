"""Using a model: assembling it, scoring, predicting, evaluating, adapting."""
