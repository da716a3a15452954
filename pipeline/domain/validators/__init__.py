"""What must hold of a record from outside before any stage decides on it: one validator for each type."""
