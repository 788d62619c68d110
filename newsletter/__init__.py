"""Write, check, send and keep a newsletter of country updates."""

__version__ = "0.1.0"
