"""Predict one recording of a person: utterances, speech, quality, and voice statistics."""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import asdict, replace

import numpy as np

from affekt.audio.sources import Source
from affekt.audio.windows import SAMPLE_RATE
from affekt.errors import ModelError
from affekt.inference.prediction import UNCERTAIN, label_of
from affekt.inference.predictor import Predictor
from affekt.inference.profile import Profile, profile_of
from affekt.inference.speech.quality import LIMITS, QualityMeter
from affekt.journal.entry import Entry, Voice


def predict_entry(
    predictor: Predictor, source: Source, profile: Profile | None, entry: Entry
) -> Entry:
    """Predict a recording.

    Args:
        source: the recording, as :meth:`affekt.Predictor.predict` takes it.
        profile: of the person; None for no enrolment.
        entry: with digest, date, name and note.

    Returns:
        The entry with its prediction. Its probabilities are the mean over utterances, weighted by
        seconds of speech; utterances are not smoothed.

    Raises:
        AudioError: the recording cannot be read.
        ModelError: the model cannot run.
    """
    meter = QualityMeter(time_constant=1.0)
    own = replace(predictor, profile=profile, limits=None)
    found = list(own.timeline(source, time_constant=0.0, watch=meter.push))
    meter.push(np.empty(0, np.float32), end=True)
    quality = meter.whole
    reason = LIMITS.reason(quality) or ("" if found else "no speech was detected")
    speech = [each.speech * (each.end - each.start) for each in found]
    shares = {
        label: sum(s * each.probabilities[label] for s, each in zip(speech, found, strict=True))
        / sum(speech)
        for label in (predictor.labels if found else ())
    }
    return replace(
        entry,
        duration=round(meter.samples / SAMPLE_RATE, 3),
        speech=round(sum(speech), 3),
        label=UNCERTAIN if reason else label_of(shares),
        probabilities={label: round(share, 6) for label, share in shares.items()},
        utterances=[
            {
                "start": round(each.start, 3),
                "end": round(each.end, 3),
                "speech": round(seconds, 3),
                "probabilities": {k: round(p, 6) for k, p in each.probabilities.items()},
            }
            for seconds, each in zip(speech, found, strict=True)
        ],
        quality=asdict(quality),
        reason=reason,
        model=predictor.graph.digest,
        profile=profile_digest(profile),
    )


def voice_of(predictor: Predictor, source: Source) -> Voice | None:
    """Compute the voice statistics of a recording, and predict it without enrolment.

    Returns:
        The statistics; None without speech, or for a model without speaker normalization.

    Raises:
        AudioError: the recording cannot be read.
    """
    if not predictor.graph.profile:
        return None
    plain = predict_entry(predictor, source, None, Entry("", "", ""))
    if not plain.speech:
        return None
    try:
        profile = replace(predictor, profile=None).enroll([source])
    except ModelError:  # too little speech for statistics
        return None
    return Voice(profile.content(), plain.probabilities)


def pooled_profile(voices: Iterable[Voice], measure: str) -> Profile | None:
    """Join voice statistics of several recordings into one profile; None without any.

    Args:
        voices: in a fixed order; those of another kind of model are left out.
        measure: identifier of the model's features, which the profile must have.
    """
    parts = [profile_of(voice.statistics) for voice in voices]
    parts = [part for part in parts if part.measure == measure]
    if not parts:
        return None
    weights = np.array([part.weight for part in parts])
    means = np.array([part.mean for part in parts], np.float64)
    deviations = np.array([part.deviation for part in parts], np.float64)
    mean = np.average(means, axis=0, weights=weights)
    square = np.average(deviations**2 + means**2, axis=0, weights=weights)
    return Profile(
        measure,
        float(weights.sum()),
        mean.astype(np.float32),
        np.sqrt(np.maximum(square - mean**2, 0.0)).astype(np.float32),
        sum(part.seconds for part in parts),
    )


def current_profiles(voices: Collection[Voice]) -> set[str]:
    """Digests of the profiles of a baseline, one for each kind of model; of none without any."""
    measures = {profile_of(voice.statistics).measure for voice in voices} or {""}
    return {profile_digest(pooled_profile(voices, measure)) for measure in measures}


def profile_digest(profile: Profile | None) -> str:
    """Identify a profile by the first 16 hexadecimal digits of its SHA-256; empty for none."""
    return hashlib.sha256(profile.content()).hexdigest()[:16] if profile else ""
