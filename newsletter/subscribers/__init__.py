"""The readers: who they are, what they follow, what they agreed to."""
