"""A stand-in for the sources, for the demo and the tests: drug files of its own making over HTTP."""
