"""A real broker and registry as child processes: fetched once, checked by hash, ended with their owner."""
