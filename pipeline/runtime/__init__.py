"""The machine: everything that talks to Kafka, to the registry or to the operating system."""
