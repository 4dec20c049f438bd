"""Django's Postgres with the login of an AWS secret (DB_SECRET_ID)."""
