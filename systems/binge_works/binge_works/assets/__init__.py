"""The assets, a folder each as founded; a table's asset is named as the table."""
