"""Static partitions that onnxruntime runs on this CPU, as strategy `switched` describes them."""
