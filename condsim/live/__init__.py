"""A PyTorch model with its routing sites: watched, forced, run under a strategy."""
