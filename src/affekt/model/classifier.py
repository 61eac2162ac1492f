"""The whole network: front end, loudness, CNN, speaker, head; windows in, an answer after each out.

The paper's network is front end, CNN and head. Loudness and speaker are stages of their own that
a recipe may put between them. A large speech encoder may stand in place of front end and CNN; the
sum of its layers then stands before the head.
"""

import hashlib
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affekt.atomic_write import atomic_write
from affekt.audio.windows import SAMPLE_RATE, WINDOW
from affekt.errors import ModelError
from affekt.model.architecture import Architecture
from affekt.model.backbone import Backbone, LayerMix
from affekt.model.heads import HEADS, Head
from affekt.model.logmel import LogMel
from affekt.model.loudness import RunningLoudness, RunningSpectrum, State, speech_shares
from affekt.model.speaker import PRIOR_SECONDS, SpeakerNorm
from affekt.model.yamnet import YAMNet

LOUDNESS_MEMORY = 30.0  # s after which what was heard weighs 1/e in a loudness or spectrum
SPEAKER_MEMORY = 600.0  # s, likewise in a profile that adapts


def loudness_of(architecture: Architecture) -> RunningLoudness | None:
    """The stage that brings windows to one loudness or spectrum, if the network has one."""
    if architecture.level == "given":
        return None
    stage = RunningSpectrum if architecture.level == "spectrum" else RunningLoudness
    return stage(architecture.keep(LOUDNESS_MEMORY))


def front_end_of(architecture: Architecture) -> nn.Module:
    """Windows to what the CNN or the backbone hears: patches, or the windows as they are."""
    return nn.Identity() if architecture.backbone else LogMel(architecture.front_end)


class Classifier(nn.Module):
    """The network.

    Training starts from patches (:meth:`forward`), or from what a frozen CNN made of them
    (:meth:`read`), since both can be kept; the exported graph starts from waveform (:meth:`step`).
    """

    temperature: Tensor
    temperature_known: Tensor

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        a = self.architecture = architecture
        self.front_end = front_end_of(a)
        self.loudness = loudness_of(a)
        self.trunk: YAMNet | Backbone = YAMNet(
            ceiling=a.ceiling, blocks=a.blocks, columns=a.columns
        )
        self.layers = None
        if a.backbone:
            self.trunk = Backbone(a.backbone)
            self.layers = LayerMix(self.trunk.layers)
        features, labels = self.trunk.features, len(a.labels)
        self.speaker = None
        if a.profile:
            prior = PRIOR_SECONDS * SAMPLE_RATE / WINDOW * self.trunk.steps
            self.speaker = SpeakerNorm(features, prior, a.keep(SPEAKER_MEMORY))
        if self.layers:
            features //= self.layers.layers
        options = {"members": a.members} if a.members > 1 else {}
        self.head: Head = HEADS[a.head](
            features, labels, steps=self.trunk.steps, keep=a.keep(a.memory), **options
        )
        # In use, logits are divided by the first where nobody is known, by the second where the
        # speaker is, and by something between while they are getting known.
        self.register_buffer("temperature", torch.ones(()))
        self.register_buffer("temperature_known", torch.ones(()), persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    @property
    def state(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of each state tensor of the whole network, a profile's included."""
        parts = (self.loudness, self.speaker, self.head)
        return {name: shape for part in parts if part for name, shape in part.state.items()}

    def shares(self, patches: Tensor) -> Tensor:
        """How much of each step is speech: ``(windows, steps)``, all ones at a level as given."""
        if self.loudness is None:
            return torch.ones_like(patches.flatten(1)[:, : self.trunk.steps])
        return speech_shares(patches, self.trunk.steps)

    def forward(self, patches: Tensor, lengths: Tensor, profiles: State | None = None) -> Tensor:
        """Logits of whole clips.

        Args:
            patches: ``(windows, 96, 64)`` at the CNN's level, one clip after the other; of a
                backbone the windows themselves, ``(windows, 15600)``.
            lengths: ``(clips,)`` windows of each clip; their sum is ``windows``.
            profiles: of who speaks in each clip; nobody's by default.

        Returns:
            As :meth:`read`.
        """
        patches = patches.to(self.device)
        return self.read(self.trunk(patches), self.shares(patches), lengths, profiles)

    def read(
        self, steps: Tensor, shares: Tensor, lengths: Tensor, profiles: State | None = None
    ) -> Tensor:
        """Logits of whole clips, from what the CNN made of their windows.

        Args:
            steps: ``(windows, steps, features)``, one clip after the other.
            shares: ``(windows, steps)``: how much of each step is speech.
            lengths: ``(clips,)`` windows of each clip.
            profiles: of who speaks in each clip; nobody's by default.

        Returns:
            ``(clips, labels)``: the answer after each clip's last window. In training those of
            each member, ``(clips, members, labels)``, if the head has several.
        """
        answers, _ = self.answers(steps, shares, lengths, profiles)
        return answers[torch.arange(len(lengths)), lengths - 1]

    def answers(
        self,
        steps: Tensor,
        shares: Tensor,
        lengths: Tensor,
        profiles: State | None = None,
        *,
        adapt: Tensor | None = None,
    ) -> tuple[Tensor, State]:
        """Logits after each window of each clip, from what the CNN made of their windows.

        Args:
            steps: ``(windows, steps, features)``, one clip after the other.
            shares: ``(windows, steps)``: how much of each step is speech.
            lengths: ``(clips,)`` windows of each clip.
            profiles: of who speaks in each clip; nobody's by default.
            adapt: ``(1,)``: 1 lets profiles learn from the windows; 0 by default.

        Returns:
            ``(clips, longest, labels)``, of which what stands after a clip's end means nothing;
            and the state after the longest clip.
        """
        windows = lengths.tolist()
        padded = nn.utils.rnn.pad_sequence(list(torch.split(steps, windows)), batch_first=True)
        heard = nn.utils.rnn.pad_sequence(list(torch.split(shares, windows)), batch_first=True)
        known = {name: sums.to(self.device) for name, sums in (profiles or {}).items()}
        state = self.start(len(lengths)) | known
        adapt = steps.new_zeros(1) if adapt is None else adapt
        logits, _, after = self._hear(padded, heard, state, adapt)
        return logits, after

    def step(
        self, windows: Tensor, state: State, adapt: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """The next windows of one sound.

        Args:
            windows: ``(windows, 15600)`` waveform at 16 kHz.
            state: as :meth:`start` or the step before returned it, without the axis of clips.
            adapt: ``(1,)``: 1 lets the profile learn from these windows; 0 by default.

        Returns:
            Probabilities ``(windows, labels)`` after each window, and the state to go on from.
        """
        before = {name: tensor[None] for name, tensor in state.items()}
        patches, after = self.front_end(windows), {}
        if self.loudness:
            leveled, after = self.loudness(patches[None], before)
            patches = leveled[0]
        steps, shares = self.trunk(patches)[None], self.shares(patches)[None]
        adapt = steps.new_zeros(1) if adapt is None else adapt
        logits, unknown, others = self._hear(steps, shares, before, adapt)
        known = self.temperature_known
        temperature = known + (self.temperature - known) * unknown[0]
        probabilities = (logits[0] / temperature).softmax(dim=-1)
        return probabilities, {name: each[0] for name, each in (after | others).items()}

    def _hear(
        self, steps: Tensor, shares: Tensor, state: State, adapt: Tensor
    ) -> tuple[Tensor, Tensor, State]:
        after: State = {}
        unknown = steps.new_ones(1, 1)
        if self.speaker:
            profile = {name: state[name] for name in self.speaker.state}
            steps, unknown, after = self.speaker(steps, shares, profile, adapt)
        if self.layers:
            steps = self.layers(steps)
        logits, own = self.head(steps, shares, {name: state[name] for name in self.head.state})
        return logits, unknown, after | own

    def start(self, clips: int) -> State:
        """The state before the first window, ``(clips, *shape)`` zeros a name."""
        return {
            name: torch.zeros(clips, *shape, device=self.device)
            for name, shape in self.state.items()
        }


def trunk_digest(classifier: Classifier) -> str:
    """16 hex digits over all that profiles are measured with."""
    a = classifier.architecture
    digest = hashlib.sha256(repr((a.front_end, a.level, a.hop, a.blocks)).encode())
    if a.columns > 1:
        digest.update(bytes([a.columns]))
    if isinstance(classifier.trunk, Backbone):
        digest.update(classifier.trunk.digest.encode())
        return digest.hexdigest()[:16]
    for row in classifier.trunk.rows:
        digest.update(row.convolution.weight.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


def save_classifier(classifier: Classifier, path: Path, **facts: Any) -> None:
    """Write a model file that rebuilds itself: architecture, weights, and facts about it."""
    content = {
        "architecture": asdict(classifier.architecture),
        "weights": classifier.state_dict(),
        "facts": facts,
    }
    save(content, path)


def save(content: dict[str, Any], path: Path) -> None:
    """Write a file for ``torch.load`` that is whole as soon as it is there.

    Raises:
        OSError: it cannot be written; what stood there before stays.
    """
    buffer = io.BytesIO()  # torch's own writer reports a full disk as a fault in itself
    torch.save(content, buffer)
    with atomic_write(path) as part:
        part.write_bytes(buffer.getbuffer())


def load_classifier(path: Path) -> tuple[Classifier, dict[str, Any]]:
    """Read what :func:`save_classifier` wrote; runs no code from the file.

    Returns:
        The network in evaluation mode, and its facts.

    Raises:
        ModelError: no such file, or not such a file.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        architecture = content["architecture"]
        architecture["labels"] = tuple(architecture["labels"])
        classifier = Classifier(Architecture(**architecture))
        classifier.load_state_dict(content["weights"])
        facts = dict(content["facts"])
    except FileNotFoundError as error:
        raise ModelError(f"{path} must be a model file. Got nothing there.") from error
    except ModelError:
        raise
    except Exception as error:  # torch.load raises what its file makes it raise
        raise ModelError(
            f"{path} must be a model file that this version of affekt wrote. "
            f"Got {type(error).__name__}."
        ) from error
    return classifier.eval(), facts
