"""Each example of the findings as a test, named after the promise that failed first; and its siblings."""
