"""Is the booth still as it was? Told from the background of the photos that went through."""
