"""Reads topics from Kafka, or from the memory host, for the audit, and writes seals."""
