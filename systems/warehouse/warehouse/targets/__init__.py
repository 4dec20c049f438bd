"""Where the warehouse lies: a folder, or a bucket of S3; both behind one interface."""
