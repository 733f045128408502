"""What an operator takes on a CPU: measured tables, one file an effect."""
