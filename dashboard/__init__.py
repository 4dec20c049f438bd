"""The page that the museum's staff look at, and the report that can be mailed: figures, charts, pages."""
