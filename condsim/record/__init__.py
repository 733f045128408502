"""The operator stream of a run, below autograd."""
