"""The table that decides: every method on the same items, what it reaches, what it costs, and where it fails."""
