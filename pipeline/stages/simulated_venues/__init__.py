"""Venues that answer child orders: a stage like any other, on the books of `simulator/venues`."""
