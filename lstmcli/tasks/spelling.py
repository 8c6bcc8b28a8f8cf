"""The cost of spelling unknown words, which makes models with different vocabularies comparable.

    P(word) = P(<unk>) · P(c_1) · … · P(c_n) · P(end)

P(c) is the add-one estimate of the unigram probability of a character over the known words, each counted once; all
other characters of Unicode share the probability of one unseen character. P sums to one over all strings. After Brown
et al. (1992), "An Estimate of an Upper Bound for the Entropy of English", who spell unknown words by single characters.
"""

from collections import Counter
from collections.abc import Iterable
from math import log

END = ""  # of a word
CODE_POINTS = 0x110000  # of Unicode


def spelling_costs(known: Iterable[str], unknown: Iterable[Iterable[str]]) -> list[float]:
    """Compute the nats for the spelling of each text's unknown words, without those of ``<unk>``.

    known: the words of the vocabulary; unknown: by text.
    """
    counts = Counter({END: 0})
    for word in known:
        counts.update((*word, END))
    total = counts.total() + len(counts) + 1  # add one to each count, and one for all other characters
    nats = {character: log(total / (count + 1)) for character, count in counts.items()}
    other = log(total * (CODE_POINTS - len(counts) + 1))
    return [sum(nats.get(character, other) for word in words for character in (*word, END)) for words in unknown]
