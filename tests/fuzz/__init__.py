"""Damaged, extreme and random inputs for everything that reads what others wrote.

`make fuzz` runs them (`fuzz.__main__`); `fuzz/test_fuzz.py` is the sample of `make test`. An input
is a folder with a question (`fuzz.kinds`), which is put (`fuzz.questions`) in a process with limits
(`fuzz.pool`). Right is one clear line, or numbers that are finite and above zero (`fuzz.judge`).
"""
