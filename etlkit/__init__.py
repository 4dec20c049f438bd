"""The small kit that the suite's systems share: settings, logs, Postgres, run history, rejects."""
