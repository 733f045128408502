"""A module's own forward, read and put behind `condsim.route` and `condsim.branch`.

tape: the calls that the forward makes. meanings: what its tensors stand for. reading, reader and
the rules: which calls gather and scatter rows by a decision. placement and sites: what stands
behind which guard. program and lifted: the same calls, runnable under every strategy.
"""
