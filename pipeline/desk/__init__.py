"""The desk's live page and its numbers, on Faust. It displays; no decision reads it."""
