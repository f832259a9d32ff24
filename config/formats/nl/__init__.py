"""Dutch, with the month in letters: a reader need not guess which number is the month."""
