"""The people hub: sources -> bronze in Postgres, one script per source and entity, one engine for all."""
