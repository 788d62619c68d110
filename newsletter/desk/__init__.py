"""The steps an issue walks, from a skeleton to the archive: what the command line and the studio have in common."""
