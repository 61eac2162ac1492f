"""Recognize emotions with a model file, using NumPy and ONNX Runtime without PyTorch."""
