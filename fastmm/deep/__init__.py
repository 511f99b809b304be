"""Networks that are trained: encoders of modalities, their fusion, the training loop."""
