import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import watch

ta.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Linear(16, 3))
optimizer = optim.SGD(model.parameters(), lr=0.01)
x, y = ta.randn(16, 8), ta.randint(3, (16,))
with watch(model, optimizer) as report:
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
        with ta.no_grad():
            accuracy = (model(x).argmax(1) == y).float().mean()  # here
