"""Keys and values of recipes that had other names in earlier versions.

Checkpoints with the old names stay loadable (``translated``). In recipes and on the command line an old name is
answered with the new one (``validation``).
"""

from typing import Any

KEYS = {
    "model.activation": "model.ar_weight",
    "model.bag": "model.bag_of_words",
    "model.carried": "model.frozen_vectors",
    "model.slowness": "model.tar_weight",
    "train.adversarial": "train.adversarial_epsilon",
    "train.average": "train.ema_decay",
    "train.body_lr": "train.encoder_lr_scale",
    "train.entropy": "train.entropy_weight",
    "train.virtual": "train.vat_epsilon",
    "train.window": "train.bptt",
    "learner.moves": "learner.adapted_parameters",
    "learner.multi_step": "learner.multi_step_loss_weight",
    "learner.nearness": "learner.logit_scale",
    "learner.reads": "learner.processing_steps",
    "learner.sharpness": "learner.logit_scale",
    "learner.start": "learner.head_init",
    "learner.strength": "learner.l2",
    "learner.truncate": "learner.unroll",
}
VALUES = {  # by the new name of the key
    "learner.head_init": {"own": "model"},
    "tokens.kind": {"given": "pretokenized", "spaces": "whitespace"},
}
DERIVED = "task"  # a key of earlier versions, which now follows from the model


def value_of(key: str, value: Any) -> Any:
    """Return the new name of a key's value, or the value itself if its name has not changed."""
    return VALUES.get(key, {}).get(value, value) if isinstance(value, str) else value


def translated(config: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a recipe, or of some sections of one, under the new names."""
    return {
        section: {
            name.partition(".")[2]: value_of(name, value)
            for key, value in values.items()
            for name in [KEYS.get(f"{section}.{key}", f"{section}.{key}")]
        }
        if isinstance(values, dict)
        else values
        for section, values in config.items()
        if section != DERIVED
    }
