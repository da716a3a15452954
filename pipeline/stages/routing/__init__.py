"""Sends child orders to venues, owns their lives, and counts each execution once."""
