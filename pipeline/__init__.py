"""An open execution pipeline: many small client orders in, exact allocations out."""
