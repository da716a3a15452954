"""Faults on a real broker, counted, with a checker that shares no code with the worker: `make chaos`."""
