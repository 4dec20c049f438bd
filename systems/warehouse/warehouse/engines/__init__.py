"""The engines that read text tables and write Parquet: DuckDB on one machine, Spark beyond it."""
