"""A simulated Kafka under the real worker: virtual time, one seed, every fault. Start with ``run.py``."""
