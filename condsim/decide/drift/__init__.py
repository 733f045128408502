"""Drift: what moved between two traces of a model, could that be chance, and what does it cost."""
