"""One file a step. The file's name is the revision: `0001_book`, `0002_ledger`, each built on the one before."""
