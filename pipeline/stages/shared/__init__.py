"""What several stages keep of reference data, controls and the market."""
