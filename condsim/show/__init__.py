"""Results for people: terminal text, plots, a report."""
