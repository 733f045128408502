"""Other tools that predict the same: each runs in an environment of its own, over one process."""
