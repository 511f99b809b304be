"""Linear models on all patches of images, without the patches."""
