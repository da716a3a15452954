"""Gathers orders in windows, crosses opposite sides, and makes parent orders of what is left."""
