"""Questions over many predictions: compare, rank, break even, look at routing."""
