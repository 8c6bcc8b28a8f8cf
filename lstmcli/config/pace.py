"""How long a run takes, by the amount of data: a recipe with ``train.min_steps`` counts in steps, not in epochs.

What decides how far weights come is the number of updates. A hundred texts in batches of the size that suits a hundred
thousand give one or two steps an epoch, and a run of ten epochs ends before it has begun to learn. So on few texts a
batch takes fewer tokens, and a run as many epochs as give the steps; patience, too, is a number of steps.
"""

from lstmcli.config import RunConfig

STEPS = 30  # an epoch has at least about as many, where that leaves enough texts to a batch
TEXTS = 8  # of mean length in a batch, at least
LARGEST = 8_192  # tokens of a batch, at most
EPOCHS = 10  # at least
PATIENCE = 3  # evaluations, at least
SHARE = 0.25  # of min_steps without a new best, after which a run ends


def paced(config: RunConfig, *, tokens: int, texts: int) -> RunConfig:
    """Return the config with the keys filled in that ``train.min_steps`` decides: those that the recipe does not give.

    ``batch_tokens``, ``epochs`` and ``patience`` follow from the training set; of episodes, whose number the recipe
    gives, the latter two. Without ``min_steps`` the config is returned as it is, and so is one that gives all three.

    Args:
        tokens, texts: Of an epoch of training.
    """
    train = config.train
    if train.min_steps is None:
        return config
    given = train.model_fields_set
    batch_tokens = train.batch_tokens
    if "batch_tokens" not in given:
        fitting = -(-tokens // (STEPS * train.accumulate))
        batch_tokens = min(LARGEST, max(fitting, -(-TEXTS * tokens // max(1, texts))))
    if config.episodes is None:
        items = -(-tokens // batch_tokens)  # without padding, which makes them more
    else:
        items = -(-config.episodes.count // config.episodes.batch)
    steps = -(-items // train.accumulate)  # of an epoch
    found = {
        "batch_tokens": batch_tokens,
        "epochs": max(EPOCHS, -(-train.min_steps // steps)),
        "patience": max(PATIENCE, -(-int(SHARE * train.min_steps) // steps)),
    }
    free = {key: value for key, value in found.items() if key not in given}
    return config.model_copy(update={"train": train.model_copy(update=free)})
