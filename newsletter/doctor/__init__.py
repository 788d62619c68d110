"""What stands between a good issue and the inbox: names, keys, carrier, clock, database, disk."""
