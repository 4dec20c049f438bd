"""Silver: one true record a person, department, group and computer, merged from what the sources say last."""
