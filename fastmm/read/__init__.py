"""Reading: from files to volumes and batches of images, each with its meaning."""
