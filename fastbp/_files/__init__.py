"""Files: model files, and tables in CSV, JSON lines and Parquet files."""


class TableError(ValueError):
    """A table or model file that the command line can't use. The message names the file or the column."""
