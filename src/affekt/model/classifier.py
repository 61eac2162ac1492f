"""Define the whole network: front end, loudness, trunk, speaker normalization and head.

The paper's network is front end, CNN and head. Loudness and speaker normalization are optional
stages between them. The trunk is YAMNet or the first layers of Whisper's encoder.
"""

import hashlib
import io
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from affekt.atomic_write import atomic_write
from affekt.audio.windows import SAMPLE_RATE, WINDOW
from affekt.errors import ModelError
from affekt.model.architecture import Architecture, read_architecture
from affekt.model.heads import HEADS, Head, check_head
from affekt.model.logmel import LogMel
from affekt.model.loudness import RunningLoudness, State, speech_shares
from affekt.model.speaker_normalization import PRIOR_SECONDS, SpeakerNormalization
from affekt.model.whisper import WhisperEncoder, WhisperLogMel, WindowContext, encoder_speech_shares
from affekt.model.yamnet import YAMNet

LOUDNESS_SECONDS = 30.0  # time constant of the running loudness
PROFILE_SECONDS = 600.0  # time constant of a profile that adapts


def front_end_of(a: Architecture) -> nn.Module:
    """The stage from windows to log-mel frames."""
    return WhisperLogMel() if a.trunk == "whisper" else LogMel(a.front_end)


def loudness_of(a: Architecture) -> RunningLoudness | WindowContext | None:
    """The stage from log-mel frames to the trunk's inputs; None where they are used as given."""
    decay = a.decay(LOUDNESS_SECONDS)
    if a.trunk == "whisper":
        return WindowContext(a.context, decay)
    return RunningLoudness(decay) if a.loudness == "running" else None


class Classifier(nn.Module):
    """The network.

    Training starts from the trunk's inputs or from its outputs (:meth:`read`), since both can be
    cached; the exported graph starts from waveform (:meth:`step`).
    """

    temperature: Tensor
    temperature_known: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.front_end = front_end_of(a)
        self.loudness = loudness_of(a)
        self.trunk: YAMNet | WhisperEncoder  # its pretrained weights are loaded afterwards
        if a.trunk == "whisper":
            self.trunk = WhisperEncoder(layers=a.encoder_layers, context=a.context)
        else:
            self.trunk = YAMNet(blocks=a.blocks)
        self.speaker = None
        if a.speaker_normalization:
            prior = PRIOR_SECONDS * SAMPLE_RATE / WINDOW * self.trunk.steps
            self.speaker = SpeakerNormalization(
                self.trunk.features, prior, a.decay(PROFILE_SECONDS)
            )
        options = {"ensemble_size": a.ensemble_size} if a.ensemble_size > 1 else {}
        self.head: Head = HEADS[a.head](
            self.trunk.features, len(a.labels), decays_by=a.decays, **options
        )
        check_head(
            a.head,
            self.head,
            steps=self.trunk.steps,
            features=self.trunk.features,
            labels=len(a.labels),
            answers=len(a.decays),
        )
        # The first temperature holds without enrolment, the second with a full profile. In
        # between, they are interpolated by the weight of the population in the profile.
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("temperature_known", torch.ones(()), persistent=False)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.parameters()).device

    @property
    def state(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each state tensor of the whole network, the profile's included."""
        parts = (self.loudness, self.speaker, self.head)
        return {name: shape for part in parts if part for name, shape in part.state.items()}

    def shares(self, inputs: Tensor) -> Tensor:
        """Estimate the share of speech in the trunk's inputs, ``(windows, steps)`` in [0, 1).

        It is 1 where loudness is left as given.
        """
        if self.loudness is None:
            return torch.ones_like(inputs.flatten(1)[:, : self.trunk.steps])
        if isinstance(self.trunk, WhisperEncoder):
            return encoder_speech_shares(inputs)
        return speech_shares(inputs, self.trunk.steps)

    def read(
        self, steps: Tensor, shares: Tensor, lengths: Tensor, profiles: State | None = None
    ) -> Tensor:
        """Compute the logits of whole clips from the trunk's outputs.

        Args:
            steps: ``(windows, steps, features)``, one clip after the other.
            shares: ``(windows, steps)``: share of speech in each step.
            lengths: ``(clips,)`` windows of each clip.
            profiles: of the speaker of each clip; no enrolment by default.

        Returns:
            ``(clips, labels)``: logits after each clip's last window. In training those of each
            time constant and each head of an ensemble: ``(clips, answers * heads, labels)``.
        """
        logits, _ = self.logits_by_window(steps, shares, lengths, profiles)
        logits = logits[torch.arange(len(lengths)), lengths - 1]
        return logits.flatten(1, -2) if self.training else logits[:, 0]

    def logits_by_window(
        self,
        steps: Tensor,
        shares: Tensor,
        lengths: Tensor,
        profiles: State | None = None,
        *,
        adapt: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Compute the logits after each window of each clip.

        Args:
            steps: as for :meth:`read`; so are ``shares``, ``lengths`` and ``profiles``.
            adapt: ``(1,)``: 1 updates the profiles with the windows; 0 by default.

        Returns:
            ``(clips, longest, answers, labels)``, one answer for each time constant, meaningless
            after a clip's end; and the state after the longest clip.
        """
        windows = lengths.tolist()
        padded = nn.utils.rnn.pad_sequence(list(torch.split(steps, windows)), batch_first=True)
        speech = nn.utils.rnn.pad_sequence(list(torch.split(shares, windows)), batch_first=True)
        enrolled = {name: sums.to(self.device) for name, sums in (profiles or {}).items()}
        state = self.start(len(lengths)) | enrolled
        pooled, _, after = self._pool(padded, speech, state, adapt)
        return self.head.classes(pooled), after

    def step(
        self, windows: Tensor, state: State, adapt: Tensor | None = None
    ) -> tuple[dict[str, Tensor], State]:
        """Process the next windows of one sound.

        Args:
            windows: ``(windows, 15600)`` waveform at 16 kHz.
            state: as :meth:`start` or the step before returned it, without the axis of clips.
            adapt: ``(1,)``: 1 updates the profile with these windows; 0 by default.

        Returns:
            After each window: ``probabilities`` ``(windows, labels)``; ``recent`` of the same
            shape, where the head has a second time constant; ``embedding`` ``(windows, features)``,
            the input of the last layer. And the next state.
        """
        before = {name: tensor[None] for name, tensor in state.items()}
        inputs, after = self.front_end(windows), {}
        if self.loudness:
            leveled, after = self.loudness(inputs[None], before)
            inputs = leveled[0]
        steps, shares = self.trunk(inputs)[None], self.shares(inputs)[None]
        pooled, prior_weight, others = self._pool(steps, shares, before, adapt)
        enrolled = self.temperature_known
        temperature = enrolled + (self.temperature - enrolled) * prior_weight[0]
        logits = self.head.classes(pooled)[0] / temperature[:, None]
        answers = logits.softmax(dim=-1).unbind(dim=1)
        outputs = dict(zip(("probabilities", "recent"), answers, strict=False))
        outputs["embedding"] = pooled[0, :, 0]
        return outputs, {name: each[0] for name, each in (after | others).items()}

    def _pool(
        self, steps: Tensor, shares: Tensor, state: State, adapt: Tensor | None
    ) -> tuple[Tensor, Tensor, State]:
        after: State = {}
        prior_weight = steps.new_ones(1, 1)
        if self.speaker:
            adapt = steps.new_zeros(1) if adapt is None else adapt
            steps, prior_weight, after = self.speaker(steps, shares, state, adapt)
        before = {name: state[name] for name in self.head.state}
        pooled, own = self.head.pool(steps, shares, before)
        return pooled, prior_weight, after | own

    def start(self, clips: int) -> State:
        """The state before the first window: ``(clips, *shape)`` zeros for each name."""
        return {
            name: torch.zeros(clips, *shape, device=self.device)
            for name, shape in self.state.items()
        }


def fold_batch_norms(classifier: Classifier) -> Classifier:
    """Copy the network and merge its batch norms into the convolutions before them."""
    folded = deepcopy(classifier).eval()
    for row in folded.trunk.rows if isinstance(folded.trunk, YAMNet) else ():
        if isinstance(row.norm, nn.Identity):  # merged already
            continue
        row.convolution = fuse_conv_bn_eval(row.convolution, row.norm)
        row.norm = nn.Identity()  # type: ignore[assignment]
    return folded


def trunk_digest(classifier: Classifier) -> str:
    """16 hex digits over all that determines the features a profile is made of."""
    a, trunk = classifier.architecture, classifier.trunk
    if isinstance(trunk, WhisperEncoder):
        digest = hashlib.sha256(repr((a.trunk, a.encoder_layers, a.context)).encode())
        weights = list(trunk.state_dict().values())
    else:
        digest = hashlib.sha256(repr((a.front_end, a.loudness, a.hop, a.blocks)).encode())
        weights = [row.convolution.weight for row in trunk.rows]
    for weight in weights:
        digest.update(weight.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def save_classifier(classifier: Classifier, path: Path, **facts: Any) -> None:
    """Write a checkpoint that rebuilds itself: architecture, weights, and facts about it."""
    weights = classifier.state_dict()
    architecture = classifier.architecture.stored()
    save({"architecture": architecture, "weights": weights, "facts": facts}, path)


def save(content: dict[str, Any], path: Path) -> None:
    """Write a file for ``torch.load`` atomically.

    Raises:
        OSError: it cannot be written; an older file stays.
    """
    buffer = io.BytesIO()  # torch's own writer reports a full disk as an internal fault
    torch.save(content, buffer)
    with atomic_write(path) as part:
        part.write_bytes(buffer.getbuffer())


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """Read a checkpoint of :func:`save_classifier`; runs no code from the file.

    Returns:
        The network in evaluation mode, and its facts.

    Raises:
        ModelError: no such file, or not a checkpoint.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        classifier = Classifier(read_architecture(content["architecture"]))
        classifier.load_state_dict(content["weights"])
        facts = dict(content["facts"])
    except FileNotFoundError as error:
        raise ModelError(
            f"{path} must be a checkpoint. Got nothing there. Name another file."
        ) from error
    except ModelError:
        raise
    except Exception as error:  # torch.load raises what its file makes it raise
        raise ModelError(
            f"{path} must be a checkpoint that affekt wrote. Got {type(error).__name__}. "
            f"Train the network again with affekt run, or update affekt."
        ) from error
    return classifier.eval(), facts
