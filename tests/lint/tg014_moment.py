import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import lint

ta.manual_seed(0)
model = nn.Linear(8, 3)
optimizer = optim.SGD(model.parameters(), lr=0.01)
x, y = ta.randn(16, 8), ta.randint(3, (16,))
scores = model(x)  # here
for _ in range(2):
    optimizer.zero_grad()
    loss = F.cross_entropy(scores, y)
    report = lint(loss, model, optimizer)
    if not report:
        loss.backward(retain_graph=True)
        optimizer.step()
