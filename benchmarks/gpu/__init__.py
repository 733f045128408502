"""Measured mixture-of-experts layers on GPUs, and the same layers predicted by condsim."""
