"""Ways to train gates side by side: the quality that each reached, and how routing went there."""
