"""Studies: several runs side by side over several seeds, from a YAML file to a page, and back into the file."""
