"""Bronze: what the sources said, version by version, and the one engine that brings it in."""
