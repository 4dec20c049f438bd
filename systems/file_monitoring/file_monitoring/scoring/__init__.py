"""A file's score, as a pure function: definitions, readers, the judge and its fast path."""
