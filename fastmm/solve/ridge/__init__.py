"""Linear models in closed form: ridge, its searches, its streams, linear combinations."""
