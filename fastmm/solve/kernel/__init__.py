"""Kernel machines in closed form: kernel ridge, least-squares support vector machines."""
