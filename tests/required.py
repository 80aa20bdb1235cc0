"""What must be there: TINYGRAD_AI_REQUIRE=native,large,... turns a skip into a failure."""

import os


def required(name: str) -> bool:
    return name in os.environ.get("TINYGRAD_AI_REQUIRE", "").split(",")
