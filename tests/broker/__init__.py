"""Promises that only a real broker and registry can break."""
