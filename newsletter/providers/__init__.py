"""Who carries mail: one file a provider, behind one contract."""
