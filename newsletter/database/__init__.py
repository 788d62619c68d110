"""One database, opened in one way, for the book of readers and the ledger."""
