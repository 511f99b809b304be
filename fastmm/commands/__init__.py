"""The commands of the command line, one a file: options in, a job of the package called."""
