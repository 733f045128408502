"""From a trace and a profile to a prediction: speedup, waterfall, timeline."""
