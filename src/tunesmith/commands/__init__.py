"""The verbs of the command line; a file here is a verb."""
