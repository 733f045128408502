"""Coverage: what decisions a trace has seen, what it has not, and which few inputs would do."""
