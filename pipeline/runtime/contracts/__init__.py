"""Avro schemas rendered from the records, the codec for them, the registry, checks of compatibility."""
