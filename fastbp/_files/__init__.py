"""Files: model files, and tables in CSV, JSON lines and Parquet files."""
