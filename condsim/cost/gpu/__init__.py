"""How long a kernel takes on a GPU: one file an effect, composed in `kernel`.

An effect is switched off by its profile field's limit: one tile of 1 x 1, `tile_s`, `row_s` or `kernel_s` near 0, an L2 of a byte, a large `overlap`.
"""
