"""Everything that speaks to the outside: HTTP, and the command line."""
