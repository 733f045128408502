"""Small random models of every family of mixtures, and what a capture of each is held against."""
