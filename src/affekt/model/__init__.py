"""Windows to labels: the network, its weights, its export. PyTorch."""
