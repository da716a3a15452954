"""Works a parent order along its schedule, slice by slice."""
