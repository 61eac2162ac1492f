"""Recognize emotions with a model file: NumPy and ONNX Runtime, never PyTorch."""
