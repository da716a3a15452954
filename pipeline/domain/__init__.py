"""The words: every record, enum and unit that stands on a topic. Imports nothing of the project."""
