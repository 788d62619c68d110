"""Every issue, kept for good, as pages that need nothing but a browser."""
