"""Several stages over a stretch of a day, in the memory host."""
