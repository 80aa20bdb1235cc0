"""How gradients come about: the op record, the walk, and what is built on them."""
