"""How long a kernel takes on a GPU: one file an effect, composed in `kernel`.

An effect is switched off by its profile field's limit: tiles of 1 x 1 with endless
`operand_bytes_per_clock` and no `tile_s`; `row_s` or `kernel_s` near 0; an L2 of a byte; a large
`overlap`.
"""
