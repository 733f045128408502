"""Noisy inputs beside clean ones: quality, path by path, how routing moves, what it costs."""
