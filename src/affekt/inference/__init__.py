"""Sound and a model file to predictions: NumPy and ONNX Runtime, never PyTorch."""
