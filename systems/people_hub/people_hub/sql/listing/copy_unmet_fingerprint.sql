-- Fills: unmet_fingerprint.
-- Reads: standard input.
-- Twice is safe: a run does it once, at its end; every head has a fingerprint of its own.
copy unmet_fingerprint (fingerprint) from stdin
