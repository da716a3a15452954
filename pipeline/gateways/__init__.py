"""The real outside: the clock, files of orders, reference data and recorded markets, the desk's controls."""
