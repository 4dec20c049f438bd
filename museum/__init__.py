"""What the batch and the live stream share: settings, rules, the database; `batch`, `live` and `demo` stand on it."""
