"""tinygrad_ai.transformers: every name leads somewhere, nothing is imported before it is needed."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tinygrad_ai import transformers


@pytest.mark.parametrize("name", transformers.__all__)
def test_every_name_resolves(name: str) -> None:
    found = getattr(transformers, name)
    assert callable(found) and found.__module__.startswith("tinygrad_ai.")
    assert found is getattr(transformers, name) and name in dir(transformers)


def test_a_name_that_is_not_there_gets_the_nearest() -> None:
    with pytest.raises(ImportError, match="no BertForSequenceClasification(.|\n)*nearest is "
                       "BertForSequenceClassification"):  # fmt: skip
        from tinygrad_ai.transformers import BertForSequenceClasification  # noqa: F401
    with pytest.raises(ImportError, match="no Whisper(.|\n)*it has AutoConfig"):
        _ = transformers.Whisper
    assert not hasattr(transformers, "__wrapped__")


PROGRAM = """
import sys
import tinygrad_ai.transformers as t
rooms = ("tinygrad_ai.models", "tinygrad_ai.text", "tinygrad_ai.train")
assert not any(name in sys.modules for name in rooms)
from tinygrad_ai.transformers import BertTokenizer
assert "tinygrad_ai.text" in sys.modules and "tokenizers" not in sys.modules
assert "tinygrad_ai.train" not in sys.modules and "torch" not in sys.modules
print("good")
"""


def test_rooms_are_imported_when_needed() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.stdout == "good\n", done.stderr
