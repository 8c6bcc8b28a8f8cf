"""From text to numbers: vocabularies, sentences, features of words, pretrained vectors, formats of tagged words."""
