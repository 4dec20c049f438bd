"""What the sources send: archives over HTTP, answers of an API, objects of a folder or bucket."""
