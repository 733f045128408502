"""What a prepared graph takes on a TPU or an NPU: one file an effect."""
