"""The steps from an empty database to today's; engine.py runs those that are missing."""
