"""Every example of what was found wrong, and its siblings, as tests: a file for a kind."""
