"""The main job as a program of its own, so that the size of its process can be measured.

    python benchmarks/main_job.py tinygrad_ai|torch DIGITS.npz WEIGHTS.npz

One epoch of 784-1024-10 on the package's digits in batches of 64. The lines are the same for both.
Without files only the library is imported. Prints the mean loss and the peak of resident memory.
"""

import json
import resource
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

BATCH, LEARNING_RATE = 64, 1e-3


def digits(file: str) -> tuple[np.ndarray, np.ndarray]:
    """The 4,000 images to train on, in an order of their own: the file is sorted by class."""
    with np.load(file) as stored:
        images, labels = stored["images"], stored["labels"]
    order = np.random.default_rng(0).permutation(np.flatnonzero(np.arange(len(images)) % 5 != 4))
    return images[order].reshape(-1, 784).astype(np.float32) / 255, labels[order].astype(np.int64)


def train(name: str, file: str, weights: str) -> float:
    """The mean loss of the epoch's batches."""
    lib, optim = import_module(name), import_module(f"{name}.optim")
    nn: Any = import_module(f"{name}.nn")
    loading = import_module(f"{name}.utils.data")

    class AILargeModel(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1 = nn.Linear(784, 1024)
            self.relu = nn.ReLU()
            self.fc2 = nn.Linear(1024, 10)

        def forward(self, x):
            return self.fc2(self.relu(self.fc1(x)))

    model = AILargeModel()
    with np.load(weights) as stored:
        model.load_state_dict({name: lib.from_numpy(stored[name]) for name in stored.files})
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=LEARNING_RATE)
    dataset = loading.TensorDataset(*map(lib.from_numpy, digits(file)))
    losses = []
    for inputs, labels in loading.DataLoader(dataset, batch_size=BATCH):
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses) / len(losses)


def peak() -> int:
    """Bytes this process had in memory at most.

    ru_maxrss is not asked where /proc is: there it counts the process that started this one, too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text().splitlines()
        return 1024 * next(int(s.split()[1]) for s in lines if s.startswith("VmHWM"))
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size


if __name__ == "__main__":
    library, *files = sys.argv[1:]
    import_module(library)
    mean = train(library, *files) if files else None
    print(json.dumps({"loss": mean, "peak": peak()}))
