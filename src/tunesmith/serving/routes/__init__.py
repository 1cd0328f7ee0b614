"""The server's routes: each file declares some as ``ENDPOINTS``."""
