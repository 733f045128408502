"""The accuracy suite: a frozen list of cases over many models (`cases.csv`), and what measures and judges them.

`models` builds what the list names, `run` calibrates, captures and measures, `judge` compares and counts.
"""
