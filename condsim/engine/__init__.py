"""When kernels start and end: a closed form, and SimPy as its reference."""
