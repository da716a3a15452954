"""Market data for a replay or a simulation: recorded books, a second venue, a synthetic market, the feed."""
