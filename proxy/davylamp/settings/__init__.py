"""The layers that a configuration is made of: defaults, a YAML file, the environment, flags."""
