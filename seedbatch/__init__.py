"""seedbatch: declarative, resumable batches of video generations that are never billed twice."""

# A constant, because importlib.metadata costs a third of `seedbatch --help`; a test compares the two.
__version__ = "0.1.0"
