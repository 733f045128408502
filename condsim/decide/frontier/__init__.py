"""Quality against speed: every setting of a model on every device, beside dense rivals."""
