"""Fusion: many modalities, one model; weighed and tuned on patients left out."""
