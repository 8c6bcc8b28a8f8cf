"""One data set per file: from the files of a split to examples."""
