"""What `benchmarks.speed` measures; nothing here needs more of condsim than an earlier one has."""
