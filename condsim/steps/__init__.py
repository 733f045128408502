"""Steps: how many rows, positions and choices each forward of a batch has."""
