"""Static partitions run by onnxruntime on this CPU: what strategy `switched` describes, executed for real."""
