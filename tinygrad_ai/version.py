"""The version, in the one place where packaging and the program read it."""

__version__ = "0.1.0"
