"""Speech encoders of every family, small and random, saved as the hub holds them."""

from pathlib import Path

import torch
from transformers import (
    AutoModel,
    HubertConfig,
    PretrainedConfig,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
)

LAYERS, WIDTH = 2, 16
_SMALL = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
}
_LARGE = {"do_stable_layer_norm": True, "feat_extract_norm": "layer"}  # as large models have them
_WHISPER = {
    "d_model": WIDTH,
    "encoder_layers": LAYERS,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 32,
    "vocab_size": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "max_source_positions": 100,
}
CONFIGS: dict[str, PretrainedConfig] = {
    "wav2vec2": Wav2Vec2Config(**_SMALL),
    "hubert": HubertConfig(**_SMALL),
    "wavlm": WavLMConfig(**_SMALL),
    "whisper": WhisperConfig(**_WHISPER),
    "wav2vec2-large": Wav2Vec2Config(**_SMALL, **_LARGE),
    "wavlm-large": WavLMConfig(**_SMALL, **_LARGE),
    "whisper-128": WhisperConfig(**_WHISPER, num_mel_bins=128),
}
EVENED = {"wav2vec2", "wav2vec2-large", "hubert"}


def make_encoder(kind: str, folder: Path) -> Path:
    """Save a model and its feature extractor, as ``save_pretrained`` does."""
    config = CONFIGS[kind]
    torch.manual_seed(len(kind))
    AutoModel.from_config(config).save_pretrained(folder)
    if kind.startswith("whisper"):
        WhisperFeatureExtractor(config.num_mel_bins).save_pretrained(folder)
    else:
        Wav2Vec2FeatureExtractor(do_normalize=kind in EVENED).save_pretrained(folder)
    return folder
