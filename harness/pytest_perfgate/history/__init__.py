"""What sessions measured, night after night: a store of Parquet files, and what it says."""
