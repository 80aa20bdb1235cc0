"""`python -m benchmarks`: the same as `python -m tinygrad_ai bench`."""

import argparse
import sys

from . import command

parser = argparse.ArgumentParser("benchmarks", description=command.__doc__)
command.add_arguments(parser)
sys.exit(command.run(parser.parse_args()))
