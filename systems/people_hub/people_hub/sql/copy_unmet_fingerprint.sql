-- Fills: unmet_fingerprint.
-- Reads: standard input.
-- Twice is safe: a run does it once; a fingerprint that stands there twice is found once.
copy unmet_fingerprint (fingerprint) from stdin
