"""The file monitor: every file that lands in S3 is scored, once."""
