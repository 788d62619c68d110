"""What the editors wrote: the issue's model, its file, its countries. Knows nothing of mail."""
