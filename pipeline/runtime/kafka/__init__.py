"""Settings of Kafka clients, topics as code, and the transactional writer for edges."""
