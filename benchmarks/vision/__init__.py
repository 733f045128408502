"""Vision transformers that drop or merge tokens, beside throughputs that their authors
published."""
