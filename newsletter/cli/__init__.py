"""What an editor can ask for on the command line: the only room that knows click."""
