"""What was found wrong once, example by example: each test is named after the promise that did not hold."""
