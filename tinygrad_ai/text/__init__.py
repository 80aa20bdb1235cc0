"""Text for models: tokenizers, batches of what they give, corpora. Needs the extra `text`."""

from .auto import AutoTokenizer as AutoTokenizer
from .bert import BertTokenizer as BertTokenizer
from .bert import BertTokenizerFast as BertTokenizerFast
from .collators import DataCollatorForLanguageModeling as DataCollatorForLanguageModeling
from .collators import DataCollatorForTokenClassification as DataCollatorForTokenClassification
from .collators import DataCollatorWithPadding as DataCollatorWithPadding
from .collators import DefaultDataCollator as DefaultDataCollator
from .collators import default_data_collator as default_data_collator
from .corpus import LabelledTexts as LabelledTexts
from .corpus import TokenBlocks as TokenBlocks
from .corpus import read_labelled as read_labelled
from .corpus import read_text as read_text
from .corpus import texts as texts
from .encoding import BatchEncoding as BatchEncoding
from .gpt2 import GPT2Tokenizer as GPT2Tokenizer
from .gpt2 import GPT2TokenizerFast as GPT2TokenizerFast
from .tokenizer import PreTrainedTokenizerFast as PreTrainedTokenizerFast
from .training import train_bpe as train_bpe
from .training import train_wordpiece as train_wordpiece
