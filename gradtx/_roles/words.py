"""The names that libraries and people give to parameters and to the layers that hold them."""

import re

WEIGHT = re.compile(r"kernel|[wW]|[wW]_?(\d+|[qkvo]|in|out|up|down|gate|i|h)|lora_[ab]")  # (in, out)
BIAS = re.compile(r"(bias|offset|beta)(_?\d+)?|bias_\w+")
SHORT_BIAS = re.compile(r"b(_?\d+)?")
SCALE = re.compile(r"(scale|gamma)(_?\d+)?")
UNEMBEDDING = re.compile(r"(\w+_)?head|lmhead|unembed\w*|logits?(_\w+)?|classifier|readout", re.IGNORECASE)
EMBEDDING = re.compile(r".*embed.*|emb|\w+_emb|wte|wpe", re.IGNORECASE)
INTO_HEADS = re.compile(r"query|key|value|[qkv]|[qkv]_proj|(query|key|value)_proj|to_[qkv]|[wW]_?[qkv]")
OUT_OF_HEADS = re.compile(r"out|o|out_proj|o_proj|output|output_proj|to_out|[wW]_?o")
FUSED = {  # into how many equal parts, where the outputs are so many times the inputs
    **dict.fromkeys(("qkv", "c_attn", "in_proj", "qkv_proj", "to_qkv", "Wqkv", "wqkv", "w_qkv"), 3),
    **dict.fromkeys(("kv", "kv_proj", "to_kv", "gate_up", "gate_up_proj"), 2),
    "query_key_value": 0,  # by heads in some models, by parts in others
}
GATES = {"dense_i": 4, "dense_h": 4}  # of nnx's LSTM
EACH = re.compile(r"(Scan|Vmap)[A-Z]\w*_\d+|_*layer_stack.*")  # of nn.scan, nn.vmap, hk.layer_stack
