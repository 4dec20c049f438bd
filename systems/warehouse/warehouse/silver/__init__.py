"""What gold is made of: each dataset's snapshot, one row a key, as an expression on bronze tables."""
