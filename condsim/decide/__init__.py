"""From numbers to decisions: many questions at once, advice, what a test has seen, what moved."""
