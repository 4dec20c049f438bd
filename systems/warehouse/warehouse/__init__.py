"""FDA drug data and other files: raw, then typed and gated bronze Parquet, published atomically."""
