"""From a message to a row: events, objects, the database, the queue."""
