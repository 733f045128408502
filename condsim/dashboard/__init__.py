"""condsim in a browser (`condsim app`). One file a page, each a script that answers one question; what they share is in `parts`.

No page computes a number of its own: it shows what `condsim.study.answer`, `condsim.compare` and their like return.
"""

GIVEN = "CONDSIM_TRACE"
"""Environment variable: the trace that `condsim app TRACE` was given."""
