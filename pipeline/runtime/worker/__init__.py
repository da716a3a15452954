"""The worker: merges and applies input, commits outputs, state and offsets in one transaction, restores."""
