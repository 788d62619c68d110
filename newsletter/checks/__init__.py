"""Rules an issue must or should meet before it is sent, one function each."""
