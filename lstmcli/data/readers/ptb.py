"""Penn Treebank as language models read it: one sentence per line, lower case, N for numbers, <unk> for rare words.

Marcus et al. (1993), the Wall Street Journal's part, as Mikolov et al. (2010) prepared it: 929,589 words to train on
and 82,430 to test, with the end of each line, in a vocabulary of 10,000.
"""

from pathlib import Path

from lstmcli.config import Data
from lstmcli.data import folders
from lstmcli.data.readers import plain_text
from lstmcli.types import Rows

HUB = ""
SPECIMEN = {
    "ptb.train.txt": " the fund rose N N to a record \n <unk> said it would buy the rest \n",
    "ptb.valid.txt": " shares fell \n",
    "ptb.test.txt": " it did \n",
}


def splits(root: Path) -> tuple[str, ...]:
    """Return the available splits."""
    return tuple(_files(root))


def read(root: Path, split: str, options: Data) -> Rows:
    """Return the lines of the split. Raises DataError where it is not there."""
    return plain_text.read_files(folders.of_split(_files(root), split, root), options)


def _files(root: Path) -> dict[str, tuple[Path, ...]]:
    return folders.files(root, endings=(".txt",), prefix="ptb.")
