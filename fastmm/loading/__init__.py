"""Loading: from many files to one batch of images, in memory or as a stream."""
