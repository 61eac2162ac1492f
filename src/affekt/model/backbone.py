"""Windows of waveform to steps, by a large speech encoder in place of log-mel and CNN.

wav2vec 2.0, HuBERT, WavLM and the encoder of Whisper, as the Hugging Face hub has them. Nobody
knows which of an encoder's layers say how somebody feels, so a step holds all of them side by
side, and :class:`LayerMix` learns what each is worth. A frozen encoder's steps can therefore be
kept on disk, as a frozen CNN's are.

An encoder is described by one text, its *form*: its configuration as JSON. A network that holds
the form rebuilds the encoder without the hub.

Source: Baevski et al. (wav2vec 2.0, 2020); Hsu et al. (HuBERT, 2021); Chen et al. (WavLM, 2022);
Radford et al. (Whisper, 2022); weighted layers: Yang et al., "SUPERB" (2021).
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.utils import parametrize

from affekt.audio.windows import SAMPLE_RATE, WINDOW
from affekt.errors import ModelError
from affekt.model.ears import Evened, WhisperLogMel

FAMILIES = ("wav2vec2", "hubert", "wavlm", "whisper")
HUB = "hf:"  # what names of encoders begin with
WHISPER_STEP = 320  # samples from one of Whisper's steps to the next
#: Switched off: they blank parts of the input and skip layers by chance, which no seed of ours
#: governs, and a layer that was skipped has nothing to be weighed.
BY_CHANCE = ("mask_time_prob", "mask_feature_prob", "layerdrop", "encoder_layerdrop")


class Backbone(nn.Module):
    """The encoder, all of its layers in every step.

    Args:
        form: as :func:`read_form` returns it; the weights are random.

    Attributes:
        layers: hidden layers of the encoder, its input's embedding included.
        steps: of a window, 20 ms each.
        features: numbers of a step: the layers' widths together.
    """

    def __init__(self, form: str) -> None:
        super().__init__()
        about = json.loads(form)
        config = _config_of(about)
        self.layers = config.num_hidden_layers + 1
        self.features = self.layers * config.hidden_size
        self.ears: nn.Module = Evened() if about["evened"] else nn.Identity()
        self.steps = WINDOW // WHISPER_STEP
        if config.model_type == "whisper":
            hearing = _transformers().WhisperFeatureExtractor(feature_size=config.num_mel_bins)
            self.ears = WhisperLogMel(hearing.mel_filters, config.max_source_positions)
        else:
            self.steps = WINDOW
            for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
                self.steps = (self.steps - kernel) // stride + 1
        self.encoder = _without_weight_norm(_encoder_of(config))

    def forward(self, windows: Tensor) -> Tensor:
        """What the encoder makes of windows, each heard by itself.

        Args:
            windows: ``(windows, 15600)`` at 16 kHz.

        Returns:
            ``(windows, steps, features)``.
        """
        heard = self.encoder(self.ears(windows), output_hidden_states=True)
        return torch.cat(heard.hidden_states, dim=-1)[:, : self.steps]

    @property
    def digest(self) -> str:
        """16 hex digits over the weights."""
        digest = hashlib.sha256()
        for weight in self.parameters():
            digest.update(weight.detach().cpu().numpy().tobytes())
        return digest.hexdigest()[:16]


class LayerMix(nn.Module):
    """One sum of all layers of a step, weighted: all the same at the start, then learned.

    Args:
        layers: that stand side by side in a step.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.scores = nn.Parameter(torch.zeros(layers))

    def forward(self, steps: Tensor) -> Tensor:
        """``(..., layers * width)`` to ``(..., width)``."""
        apart = steps.reshape(*steps.shape[:-1], self.layers, -1)
        return (apart * self.scores.softmax(0)[:, None]).sum(-2)


@cache
def read_form(name: str) -> str:
    """The form of an encoder of the hub, or of a folder on disk.

    Args:
        name: ``hf:`` and a folder that ``save_pretrained`` wrote (model and feature extractor),
            or a name of the hub, such as ``hf:microsoft/wavlm-base-plus``; ``@`` and a revision
            may follow that.

    Returns:
        Its configuration, and whether it hears windows of even loudness, as JSON.

    Raises:
        ModelError: ``transformers`` is not installed, no such encoder, none of speech, or the hub
            is out of reach.
    """
    hub = _transformers()
    try:
        extractor = hub.AutoFeatureExtractor.from_pretrained(**_address(name)).to_dict()
        config = hub.AutoConfig.from_pretrained(**_address(name))
    except (OSError, ValueError, KeyError) as error:
        raise _nothing_there(name, error) from error
    rate = extractor.get("sampling_rate")
    if config.model_type not in FAMILIES or rate != SAMPLE_RATE:
        raise ModelError(
            f"backbone {name} must be a speech encoder at {SAMPLE_RATE} Hz: one of "
            f"{', '.join(FAMILIES)}. Got {config.model_type} at {rate} Hz. Name another."
        )
    evened = config.model_type != "whisper" and extractor["do_normalize"]
    return json.dumps({"evened": evened, "config": config.to_diff_dict()}, sort_keys=True)


def load_backbone(backbone: Backbone, name: str) -> None:
    """Put the weights of an encoder into a backbone of its form, all or nothing.

    Only ``safetensors`` are read, and no code of the hub runs.

    Args:
        backbone: made from the form of the same name.
        name: as in :func:`read_form`.

    Raises:
        ModelError: no such encoder, no safetensors, or weights missing or of another shape.
    """
    hub = _transformers()
    try:
        model, report = hub.AutoModel.from_pretrained(
            **_address(name),
            config=backbone.encoder.config,
            use_safetensors=True,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise _nothing_there(name, error) from error
    if model.config.model_type == "whisper":
        model = model.get_encoder()
    weights = _without_weight_norm(model).state_dict()
    missing = sorted(key for key in report["missing_keys"] if "decoder" not in key)
    if missing:
        raise ModelError(
            f"backbone {name} must hold all weights of its configuration. Got none for "
            f"{missing[0]}. Fetch it again."
        )
    backbone.encoder.load_state_dict(weights)


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ModelError(
            f"backbone {HUB}... needs the package transformers. Got {error}. "
            f"Run pip install 'affekt[hf]'."
        ) from error
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()  # what it reports of weights is an error of ours
    return transformers


def _address(name: str) -> dict[str, Any]:
    """Where ``from_pretrained`` looks; a folder is never looked for on the hub."""
    place = name.removeprefix(HUB)
    if Path(place).is_dir() or Path(place).is_absolute():
        own = {"pretrained_model_name_or_path": place, "local_files_only": True}
    else:
        place, _, revision = place.partition("@")
        own = {"pretrained_model_name_or_path": place, "revision": revision or "main"}
    return {**own, "trust_remote_code": False}


def _nothing_there(name: str, error: Exception) -> ModelError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return ModelError(
        f"backbone {name} must be a folder on disk or a model of the hub, with config, "
        f"preprocessor and safetensors. Got: {reason}. Save it with save_pretrained where the hub "
        f"can be reached, and name that folder."
    )


def _config_of(about: dict[str, Any]) -> Any:
    config = _transformers().AutoConfig.for_model(**about["config"])
    for chance in BY_CHANCE:
        if hasattr(config, chance):
            setattr(config, chance, 0.0)
    config.dtype = torch.float32
    return config


def _encoder_of(config: Any) -> nn.Module:
    """An encoder with random weights."""
    if config.model_type == "whisper":
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        return WhisperEncoder(config)  # type: ignore[no-any-return]
    return _transformers().AutoModel.from_config(config)  # type: ignore[no-any-return]


def _without_weight_norm(encoder: nn.Module) -> nn.Module:
    """The encoder with plain weights where it had a direction and a length."""
    for module in list(encoder.modules()):
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    return encoder
