"""What the pages share: traces, inputs, scenarios, figures."""
