"""Find what is wrong with labelled texts: probable label errors, repeated texts, texts unlike the others."""
