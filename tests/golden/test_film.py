"""Feature-wise scales by the first word, against the formula."""

import torch

from lstmcli.config import Classifier
from lstmcli.models.classifier import build
from lstmcli.types import Batch

PLAIN = Classifier(embedding=3, hidden=4, dropout=0.0)


def test_the_first_word_scales_what_is_pooled_and_at_the_start_does_nothing() -> None:
    torch.manual_seed(0)
    plain, filmed = (build(config, words=9, labels=2) for config in (PLAIN, PLAIN.model_copy(update={"film": True})))
    filmed.load_state_dict(plain.state_dict(), strict=False)
    batch = Batch(torch.tensor([[3, 5, 6], [4, 5, 6], [4, 5, 0]]), torch.tensor([3, 3, 2]))
    unscaled = plain(batch).embedding
    assert torch.equal(filmed(batch).logits, plain(batch).logits)
    torch.nn.init.normal_(filmed.film.weight)
    scores = filmed(batch)
    scaled = torch.stack([unscaled[row] * (1 + filmed.film.weight @ filmed.embedding.weight[word])
                          for row, word in enumerate((3, 4, 4))])  # fmt: skip
    torch.testing.assert_close(scores.embedding, scaled)
    torch.testing.assert_close(scores.logits, scaled @ filmed.head.weight.T + filmed.head.bias)
