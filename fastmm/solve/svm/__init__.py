"""Support vector machines with the squared hinge loss."""
