"""The console: pages for admins."""
