"""The version of maskel, in a module of its own: every layer may write it into its files."""

__version__ = "0.1.0"
