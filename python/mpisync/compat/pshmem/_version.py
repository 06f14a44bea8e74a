"""The version of pshmem whose names and behaviour these are."""

__version__ = "1.3.5"
