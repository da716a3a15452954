"""What the command line does, by subject; `cli.py` parses the arguments and calls these."""
