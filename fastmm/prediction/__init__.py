"""The files of a prediction: scores, what explains them, and pictures."""
