"""What the models of the catalogue share."""
