"""Work in chunks: sources that are read, results that are written, while chunks compute."""
