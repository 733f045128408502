"""What published statistics of routing share."""
