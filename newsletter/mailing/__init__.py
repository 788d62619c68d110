"""One edition on its way to one frozen audience, with a ledger that says where every copy is."""
