"""How to look inside: tools that explain and check. Nothing else in the package imports them."""
