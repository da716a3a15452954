"""How much is due by now: one schedule per strategy, all of them on one protocol."""
