"""Writers of tidy rows, one file a format: CSV, JSON lines, Parquet, SQLite. Their readers are ``readers/tidy*.py``."""
