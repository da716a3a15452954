"""One module each; the folders mirror `pipeline/`."""
