import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.nn import functional as F
from tinygrad_ai.study import watch

ta.manual_seed(0)
model = nn.Linear(3, 3)
optimizer = optim.SGD(model.parameters(), lr=0.01)
y = ta.randint(3, (16,))
x = F.one_hot(y, 3).float() * 8  # the inputs know the labels
with ta.no_grad():
    model.weight.copy_(ta.eye(3))
with watch(model, optimizer) as report:
    for _ in range(2):
        optimizer.zero_grad()
        loss = F.nll_loss(F.log_softmax(model(x), dim=1), y)  # here
        loss.backward()
        optimizer.step()
