"""The whole network: front end, CNN and head; windows in, an answer after each window out."""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from affekt.errors import ModelError
from affekt.model.heads import HEADS, Head
from affekt.model.logmel import FRONT_ENDS, LogMel
from affekt.model.yamnet import EMBEDDING, YAMNet


@dataclass(frozen=True)
class Architecture:
    """What it takes to rebuild the network before its weights are put in."""

    labels: tuple[str, ...]
    front_end: str = "magnitude"
    ceiling: float = 6.0  # of the CNN's rectifiers
    head: str = "lstm"

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("front_end", self.front_end, FRONT_ENDS),
            ("head", self.head, tuple(HEADS)),
        ):
            if value not in allowed:
                raise ModelError(
                    f"{name} of Architecture must be one of {', '.join(allowed)}. Got {value!r}."
                )


class Classifier(nn.Module):
    """Front end, CNN and head.

    Training starts from patches (:meth:`forward`), since the front end is fixed and its output
    can be kept; the exported graph starts from waveform (:meth:`step`).
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.front_end = LogMel(architecture.front_end)
        self.trunk = YAMNet(ceiling=architecture.ceiling)
        self.head: Head = HEADS[architecture.head](EMBEDDING, len(architecture.labels))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def forward(self, patches: Tensor, lengths: Tensor) -> Tensor:
        """Logits of whole clips.

        Args:
            patches: ``(windows, 96, 64)``: the windows of all clips, one clip after the other.
            lengths: ``(clips,)`` windows of each clip; their sum is ``windows``.

        Returns:
            ``(clips, labels)``: the answer after each clip's last window.
        """
        return self.read(self.trunk(patches.to(self.device)), lengths)

    def read(self, embeddings: Tensor, lengths: Tensor) -> Tensor:
        """Logits of whole clips, from what the CNN made of their windows.

        Args:
            embeddings: ``(windows, 1024)``, one clip after the other.
            lengths: ``(clips,)`` windows of each clip.

        Returns:
            ``(clips, labels)``: the answer after each clip's last window.
        """
        answers = self.answers(embeddings, lengths)
        return answers[torch.arange(len(lengths)), lengths - 1]

    def answers(self, embeddings: Tensor, lengths: Tensor) -> Tensor:
        """Logits after each window of each clip.

        Args:
            embeddings: ``(windows, 1024)``, one clip after the other.
            lengths: ``(clips,)`` windows of each clip.

        Returns:
            ``(clips, longest, labels)``; what stands after a clip's end means nothing.
        """
        clips = torch.split(embeddings, lengths.tolist())
        padded = nn.utils.rnn.pad_sequence(list(clips), batch_first=True)
        return self.head(padded, self.start(len(lengths)))[0]

    def step(self, windows: Tensor, state: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The next windows of one sound.

        Args:
            windows: ``(windows, 15600)`` waveform at 16 kHz.
            state: as :meth:`start` or the step before returned it, without the axis of clips.

        Returns:
            Probabilities ``(windows, labels)`` after each window, and the state to go on from.
        """
        embeddings = self.trunk(self.front_end(windows))
        logits, after = self.head(embeddings[None], {name: x[None] for name, x in state.items()})
        return logits[0].softmax(dim=-1), {name: x[0] for name, x in after.items()}

    def start(self, clips: int) -> dict[str, Tensor]:
        """The state before the first window, ``(clips, *shape)`` zeros a name."""
        return {
            name: torch.zeros(clips, *shape, device=self.device)
            for name, shape in self.head.state.items()
        }


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
    part = path.with_suffix(".part")
    part.write_bytes(buffer.getbuffer())
    part.replace(path)


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
            f"{path} must be a model file written by affekt. Got {type(error).__name__}."
        ) from error
    return classifier.eval(), facts
