"""What it costs to spell a word that a vocabulary does not have, so that models of open and small vocabularies compare.

    P(word) = P(<unk>) · P(c_1) · … · P(c_n) · P(end)

Each character by itself, by how often it occurs in the known words, each spelled once, one more than counted; the rest
of Unicode shares what one more character would have. P sums to one over all strings. After Brown et al. (1992), "An
Estimate of an Upper Bound for the Entropy of English", who spell unknown words by single characters.
"""

from collections import Counter
from collections.abc import Iterable
from math import log

END = ""  # of a word
CODE_POINTS = 0x110000  # of Unicode


def spelling_costs(known: Iterable[str], unknown: Iterable[Iterable[str]]) -> list[float]:
    """Nats of each text's unknown words, without those of ``<unk>``. known: the words of the vocabulary."""
    counts = Counter({END: 0})
    for word in known:
        counts.update((*word, END))
    total = counts.total() + len(counts) + 1  # one more than counted of each, and one for all other characters
    nats = {character: log(total / (count + 1)) for character, count in counts.items()}
    other = log(total * (CODE_POINTS - len(counts) + 1))
    return [sum(nats.get(character, other) for word in words for character in (*word, END)) for words in unknown]
