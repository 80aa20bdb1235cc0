"""Layers, losses and what holds them together, under PyTorch's names. They speak Tensor only."""

from . import functional as functional
from . import init as init
from . import utils as utils
from .activation import *  # noqa: F403
from .attention import MultiheadAttention as MultiheadAttention
from .container import ModuleDict as ModuleDict
from .container import ModuleList as ModuleList
from .container import ParameterDict as ParameterDict
from .container import ParameterList as ParameterList
from .container import Sequential as Sequential
from .convolution import Conv1d as Conv1d
from .convolution import Conv2d as Conv2d
from .convolution import ConvTranspose1d as ConvTranspose1d
from .convolution import ConvTranspose2d as ConvTranspose2d
from .convolution import Fold as Fold
from .convolution import Unfold as Unfold
from .dropout import *  # noqa: F403
from .flatten import Flatten as Flatten
from .flatten import Unflatten as Unflatten
from .linear import Bilinear as Bilinear
from .linear import Identity as Identity
from .linear import Linear as Linear
from .loss import *  # noqa: F403
from .module import Module as Module
from .normalization import *  # noqa: F403
from .parameter import Parameter as Parameter
from .pooling import *  # noqa: F403
from .rnn import GRU as GRU
from .rnn import LSTM as LSTM
from .rnn import RNN as RNN
from .rnn import GRUCell as GRUCell
from .rnn import LSTMCell as LSTMCell
from .rnn import RNNCell as RNNCell
from .sparse import Embedding as Embedding
from .transformer import Transformer as Transformer
from .transformer import TransformerDecoder as TransformerDecoder
from .transformer import TransformerDecoderLayer as TransformerDecoderLayer
from .transformer import TransformerEncoder as TransformerEncoder
from .transformer import TransformerEncoderLayer as TransformerEncoderLayer
