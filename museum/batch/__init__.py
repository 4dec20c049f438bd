"""The batch: what extract.py, transform.py and load.py are made of."""
