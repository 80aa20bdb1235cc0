"""Programs to read and to change. They are no part of the package that is installed."""
