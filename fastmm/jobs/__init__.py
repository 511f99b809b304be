"""The jobs of the command line: files in, files out."""
