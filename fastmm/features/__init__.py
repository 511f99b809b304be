"""Features: from images and tables to numbers a model can use."""
