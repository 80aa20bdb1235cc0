import tinygrad_ai as ta
from tinygrad_ai import nn, optim
from tinygrad_ai.study import lint

ta.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 1), nn.Sigmoid())
optimizer = optim.SGD(model.parameters(), lr=0.01)
x = ta.randn(16, 8)
loss = -(1 - model(x)).log().mean()  # here
report = lint(loss, model, optimizer)
