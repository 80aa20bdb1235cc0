"""Learning by doing: rules to be written and graded, and a training run with one planted fault."""
