"""The files of a tokenizer in a folder: which there are, what they hold, and writing them."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from ..serialization import existing_folder, write, write_text
from .library import added, built, tokenizers
from .vocabulary import NAMED

WHOLE, CONFIG = "tokenizer.json", "tokenizer_config.json"
WORDPIECE = "vocab.txt"
BPE = (("vocab.json", "merges.txt"), ("encoder.json", "vocab.bpe"))


class Folder:
    """What a folder says about its tokenizer. Files that are not there count as empty; one that
    is damaged is a CheckpointError with its path.
    """

    def __init__(self, path: Any) -> None:
        self.path = existing_folder(path, "a tokenizer")
        self.bpe = next((pair for pair in BPE if all(self._has(name) for name in pair)), None)
        if not (self._has(WHOLE) or self._has(WORDPIECE) or self.bpe):
            there = ", ".join(sorted(p.name for p in self.path.iterdir())[:9]) or "nothing"
            raise CheckpointError(
                f"{path} has no tokenizer: neither {WHOLE}, nor {WORDPIECE}, nor vocab.json with "
                f"merges.txt; it has {there}",
                "hf download NAME --local-dir FOLDER gets a folder with all files",
            )
        self.whole = self._json(WHOLE)
        self.config = self._json(CONFIG)

    def _has(self, name: str) -> bool:
        return (self.path / name).is_file()

    def _json(self, name: str) -> dict[str, Any]:
        path = self.path / name
        if not path.is_file():
            return {}
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path} is damaged or no JSON file: {error}") from None
        if not isinstance(found, dict):
            raise CheckpointError(f"{path} holds a {type(found).__name__}, expected an object")
        return found

    def kind(self) -> str | None:
        """The class the files name (BertTokenizer, …), else the one their vocabulary is for."""
        named = self.config.get("tokenizer_class")
        model = self._json("config.json").get("model_type")
        of_models = {"bert": "BertTokenizer", "gpt2": "GPT2Tokenizer"}
        if named or model in of_models:
            return named or of_models[str(model)]
        if self.whole:
            return None
        return "BertTokenizer" if self._has(WORDPIECE) else "GPT2Tokenizer"

    def backend(self) -> Any:
        """The library's tokenizer as tokenizer.json describes it."""
        path = self.path / WHOLE
        if not self.whole:
            raise CheckpointError(
                f"{self.path} has no {WHOLE}", "BertTokenizer or GPT2Tokenizer read its files"
            )
        return built(lambda: tokenizers().Tokenizer.from_file(str(path)), f"{path} is damaged")

    def model(self, kind: str, user: str) -> dict[str, Any]:
        """The model in tokenizer.json, which must be of this kind: vocabulary and merges."""
        model = self.whole.get("model")
        if not isinstance(model, dict) or not isinstance(model.get("vocab"), dict):
            raise CheckpointError(f"{self.path / WHOLE} has no model with a vocabulary")
        found = model.get("type") or ("BPE" if "merges" in model else "WordPiece")
        if found != kind:
            raise CheckpointError(
                f"{self.path / WHOLE} holds a {found} model, {user} needs {kind}",
                "AutoTokenizer.from_pretrained chooses the class by the files",
            )
        return model

    def words(self) -> dict[str, int]:
        """The vocabulary of vocab.txt: a token a line, its number the id."""
        path = self.path / WORDPIECE
        if not path.is_file():
            raise CheckpointError(f"{self.path} has neither {WHOLE} nor {WORDPIECE}")
        read = tokenizers().models.WordPiece.read_file
        return built(lambda: read(str(path)), f"{path} is damaged")

    def pairs(self) -> tuple[dict[str, int], list[tuple[str, str]]]:
        """Vocabulary and merges of byte-level BPE."""
        if self.bpe is None:
            raise CheckpointError(f"{self.path} has neither {WHOLE} nor vocab.json and merges.txt")
        vocab, merges = (str(self.path / name) for name in self.bpe)
        read = tokenizers().models.BPE.read_file
        return built(lambda: read(vocab, merges), f"{vocab} or {merges} is damaged")

    def added(self) -> list[Any]:
        """Tokens that were added to the vocabulary, in the order of their ids."""
        listed = self.config.get("added_tokens_decoder")
        if listed is None:
            special = self._special()
            listed = {
                index: {
                    "content": text,
                    "special": text in special,
                    "normalized": text not in special,
                }
                for text, index in self._json("added_tokens.json").items()
            } | {token["id"]: token for token in self.whole.get("added_tokens", [])}
        return [added(token) for _, token in sorted(listed.items(), key=lambda item: int(item[0]))]

    def _special(self) -> set[str]:
        """The tokens that the files give a role."""
        said = self.config | self._json("special_tokens_map.json")
        tokens = [said[name] for name in NAMED if said.get(name)]
        tokens += said.get("extra_special_tokens") or said.get("additional_special_tokens") or []
        return {token["content"] if isinstance(token, dict) else token for token in tokens}

    def settings(self, options: tuple[str, ...]) -> dict[str, Any]:
        """The arguments of a tokenizer's class that the files fix."""
        config = dict(self.config)
        if "added_tokens_decoder" not in config:
            config |= self._json("special_tokens_map.json")
        if "extra_special_tokens" not in config and config.get("additional_special_tokens"):
            config["extra_special_tokens"] = config["additional_special_tokens"]
        if self.whole:  # its post-processor says whether there is one
            config.pop("add_bos_token", None)
        padding, cut = self.whole.get("padding") or {}, self.whole.get("truncation") or {}
        for name, part in (("padding_side", padding), ("truncation_side", cut)):
            if part.get("direction"):
                config.setdefault(name, part["direction"].lower())
        return {
            name: added(value, special=True) if name in NAMED and value is not None else value
            for name, value in config.items()
            if name in options
        }


def save(folder: Any, backend: Any, config: dict[str, Any]) -> tuple[str, ...]:
    """Writes tokenizer.json, tokenizer_config.json and the vocabulary's own files, each complete
    or not at all. The lengths of the last call are no part of what is saved.
    """
    path = Path(folder)
    if path.is_file():
        raise CheckpointError(f"{path} is a file, expected a folder to save the tokenizer in")
    path.mkdir(parents=True, exist_ok=True)
    backend.no_truncation()
    backend.no_padding()
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_text(path / CONFIG, text)
    write_text(path / WHOLE, backend.to_str(pretty=True))
    names = [CONFIG, WHOLE]
    with tempfile.TemporaryDirectory() as scratch:
        for file in backend.model.save(scratch):
            write(path / os.path.basename(file), Path(file).read_bytes())
            names.append(os.path.basename(file))
    return tuple(str(path / name) for name in names)
