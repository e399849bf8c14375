"""The QAPI schema language, and C made from it."""
