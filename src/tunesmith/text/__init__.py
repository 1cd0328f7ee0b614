"""What texts are made of: tokens, windows, words, spans, tags, marks, conversations."""
