"""The store on one SQLite file. ``database`` alone imports ``sqlite3``."""
