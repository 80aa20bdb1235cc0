"""The CUDA kernels compiled when they are first used, where the module was built without nvcc.

The module's launchers then know their kernels by name only (csrc/cuda/driver.h). At the first
launch on a GPU they ask here for machine code: NVRTC, which comes with CuPy or is found by it,
compiles the one kernel from the sources, in tenths of a second, and a file keeps the result.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

from ..errors import DeviceError

HERE = Path(__file__).parent
# As nvcc compiles: CuPy's own way to NVRTC would flush denormal numbers to zero.
OPTIONS = (
    "-std=c++17", "-default-device", "-ftz=false", "-prec-div=true", "-prec-sqrt=true",
    "-fmad=true",
)  # fmt: skip
NAME = re.compile(r"tinygrad_ai::cuda::(\w+)")


def sources() -> Path:
    """Where the kernels' sources are: in the package, or beside an editable one."""
    inside, beside = HERE / "csrc", HERE.parent.parent / "csrc"
    return inside if inside.exists() else beside


def cache() -> Path:
    """Where CuPy keeps what it compiled, too."""
    return Path(os.environ.get("CUPY_CACHE_DIR") or "~/.cupy/kernel_cache").expanduser()


class Compiler:
    """`compiler(symbol, declaration, capability)` is the machine code of a kernel."""

    def __init__(self, nvrtc: Any, folder: Path | None = None) -> None:
        self.nvrtc = nvrtc  # cupy.cuda.nvrtc
        self.folder = folder or sources()

    @cached_property
    def headers(self) -> dict[str, str]:
        found = sorted([*self.folder.glob("*.h"), *self.folder.glob("cuda/*.*h")])
        return {path.name: path.read_text("utf-8") for path in found}

    def header(self, declaration: str) -> str:
        """The header that defines the declared kernel."""
        name = NAME.search(declaration)
        if name:
            definition = re.compile(rf"(__global__|PLAIN_KERNEL)\b[^;{{}}]*\b{name[1]}\(")
            for header, text in self.headers.items():
                if definition.search(text):
                    return header
        raise DeviceError(
            f"expected the kernel {declaration} in a header below {self.folder}, found none",
            "install the package again: its sources and its module must be of one version",
        )

    def program(self, declaration: str) -> str:
        """A source with that kernel. What is no template is there with its header."""
        source = f'#include "{self.header(declaration)}"\n'
        template = declaration.startswith("void ")
        return source + f"template __global__ {declaration};\n" if template else source

    def architecture(self, capability: int) -> str:
        """The GPU's own, or the one before it that NVRTC knows: a driver compiles on from there."""
        known = [arch for arch in self.nvrtc.getSupportedArchs() if arch <= capability]
        if not known:
            raise DeviceError(
                f"expected a GPU that NVRTC {self.version} compiles for, got compute capability "
                f"{capability / 10}",
                "use device='cpu', or build with nvcc",
            )
        return f"sm_{capability}" if capability in known else f"compute_{max(known)}"

    @cached_property
    def version(self) -> str:
        return ".".join(map(str, self.nvrtc.getVersion()))

    def __call__(self, symbol: str, declaration: str, capability: int) -> bytes:
        arch = self.architecture(capability)
        source = self.program(declaration)
        said = [self.version, arch, source, *OPTIONS, *self.headers, *self.headers.values()]
        digest = hashlib.sha256("\0".join(said).encode()).hexdigest()[:32]
        path = cache() / f"tinygrad_ai_{digest}.cubin"
        if path.exists():
            return path.read_bytes()
        image = self.compiled(source, declaration, arch)
        keep(path, image)
        return image

    def compiled(self, source: str, declaration: str, arch: str) -> bytes:
        """What NVRTC makes of a source; DeviceError with its log if it does not."""
        options = (*OPTIONS, f"-I{self.folder / 'cuda'}", f"--gpu-architecture={arch}")
        program = self.nvrtc.createProgram(source, "kernel.cu", (), ())
        try:
            self.nvrtc.compileProgram(program, options)
            if arch.startswith("sm_"):
                return bytes(self.nvrtc.getCUBIN(program))
            return bytes(self.nvrtc.getPTX(program))
        except self.nvrtc.NVRTCError as error:
            log = self.nvrtc.getProgramLog(program)
            raise DeviceError(
                f"NVRTC {self.version} cannot compile {declaration} for {arch}: {error}\n{log}",
                "build with nvcc, or without our kernels: TINYGRAD_AI_CUDA=0 pip install ...",
            ) from None
        finally:
            self.nvrtc.destroyProgram(program)


def keep(path: Path, image: bytes) -> None:
    """Writes a file that others see whole or not at all. Where nothing can be written, the kernel
    is compiled again by the next process."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as unready:
            unready.write(image)
        os.replace(unready.name, path)
    except OSError:
        pass
