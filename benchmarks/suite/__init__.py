"""The accuracy suite: a frozen list of cases over many models (`cases.csv`), and the code that
measures and judges them.

`models` builds the models that the list names. `run` calibrates the machine, captures the models
and measures the cases. `judge` compares predictions with measurements and counts errors.
"""
