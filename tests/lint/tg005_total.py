import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import watch

ta.manual_seed(0)
model = nn.Linear(8, 3)
optimizer = optim.SGD(model.parameters(), lr=0.01)
x, y = ta.randn(16, 8), ta.randint(3, (16,))
total = 0
with watch(model, optimizer) as report:
    for _ in range(6):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)  # here
        loss.backward()
        optimizer.step()
        total = total + loss
