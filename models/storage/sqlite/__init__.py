"""The store on one SQLite file. ``driver`` alone imports ``sqlite3``."""
