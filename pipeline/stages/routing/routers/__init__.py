"""Ways to spread a slice over venues."""
