import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.study import lint

ta.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 3), nn.Softmax(dim=1))
optimizer = optim.SGD(model.parameters(), lr=0.01)
x, y = ta.randn(16, 8), ta.randint(3, (16,))
loss = -model(x)[ta.arange(16), y].log().mean()  # here
report = lint(loss, model, optimizer)
