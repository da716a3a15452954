"""The order books of simulated venues: lit, dark, their latency and their faults."""
