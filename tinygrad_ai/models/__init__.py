"""Whole networks. They know layers; they know nothing of gradients or arrays."""

from .auto import AutoConfig as AutoConfig
from .auto import AutoModel as AutoModel
from .auto import AutoModelForCausalLM as AutoModelForCausalLM
from .auto import AutoModelForMaskedLM as AutoModelForMaskedLM
from .auto import AutoModelForSequenceClassification as AutoModelForSequenceClassification
from .auto import AutoModelForTokenClassification as AutoModelForTokenClassification
from .bert import BertConfig as BertConfig
from .bert import BertModel as BertModel
from .bert import BertPreTrainedModel as BertPreTrainedModel
from .bert_heads import BertForMaskedLM as BertForMaskedLM
from .bert_heads import BertForSequenceClassification as BertForSequenceClassification
from .bert_heads import BertForTokenClassification as BertForTokenClassification
from .cache import KeyValueCache as KeyValueCache
from .config import PretrainedConfig as PretrainedConfig
from .gpt2 import GPT2Config as GPT2Config
from .gpt2 import GPT2LMHeadModel as GPT2LMHeadModel
from .gpt2 import GPT2Model as GPT2Model
from .gpt2 import GPT2PreTrainedModel as GPT2PreTrainedModel
from .lora import add_lora as add_lora
from .lora import freeze as freeze
from .lora import load_adapter as load_adapter
from .lora import merge_lora as merge_lora
from .lora import save_adapter as save_adapter
from .mlp import MLP as MLP
from .outputs import ModelOutput as ModelOutput
from .pretrained import PreTrainedModel as PreTrainedModel
