"""Stand-in sources for the demo, the tests and the benchmark: invented people behind real HTTP and real OpenLDAP."""
