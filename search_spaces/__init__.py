"""One YAML file per backbone: what is searched, and the published configurations that are tried first."""
