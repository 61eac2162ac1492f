"""Convert results into pandas tables with the segmented index of audformat.

Source: audformat's documentation, "Table": an index of file, start and end.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from affekt.errors import needing_extra
from affekt.inference.prediction import Prediction
from affekt.inference.timelines.timeline import Utterance

if TYPE_CHECKING:
    import pandas as pd

Row = tuple[str, float, float, dict[str, Any]]  # file, start, end, cells


def to_frame(results: Iterable[Prediction | Utterance]) -> "pd.DataFrame":
    """Make a table of many results, one row each.

    Args:
        results: of :meth:`affekt.Predictor.predict` or :meth:`affekt.Predictor.timeline`.

    Returns:
        Index ``file`` (string), ``start`` and ``end`` (timedelta), as audformat's segmented
        tables. Columns ``label``, ``confidence`` and ``p_<label>``, ``speech`` of
        utterances, and ``speaker`` of those whose speakers are distinguished.

    Raises:
        ModuleNotFoundError: pandas is not installed.
    """
    return _frame([_row(result) for result in results])


def segments_frame(prediction: Prediction) -> "pd.DataFrame":
    """Make a table of one prediction's windows, indexed as by :func:`to_frame`."""
    return _frame([(prediction.file, s.start, s.end, _cells(s)) for s in prediction.segments])


def utterances_frame(utterances: Iterable[Utterance], labels: Sequence[str]) -> "pd.DataFrame":
    """Make a table of utterances, indexed as by :func:`to_frame`, perhaps without rows."""
    rows = [_row(each) for each in utterances]
    columns = ["label", "confidence", *(f"p_{label}" for label in labels), "speech"]
    return _frame(rows, None if rows else columns)


def _row(result: Prediction | Utterance) -> Row:
    if isinstance(result, Prediction):
        start = result.segments[0].start if result.segments else 0.0
        return result.file, start, start + result.duration, _cells(result)
    cells = {**_cells(result), "speech": result.speech}
    if result.speaker is not None:
        cells["speaker"] = result.speaker
    return result.file, result.start, result.end, cells


def _cells(result: Any) -> dict[str, Any]:
    shares = {f"p_{label}": value for label, value in result.probabilities.items()}
    return {"label": result.label, "confidence": result.confidence, **shares}


def _frame(rows: Sequence[Row], columns: list[str] | None = None) -> "pd.DataFrame":
    with needing_extra("tables", "to_frame"):
        import pandas as pd

    files, starts, ends, cells = zip(*rows, strict=True) if rows else ((), (), (), ())
    index = pd.MultiIndex.from_arrays(
        [
            pd.array(files, dtype="string"),
            pd.to_timedelta(starts, unit="s").astype("timedelta64[ns]"),
            pd.to_timedelta(ends, unit="s").astype("timedelta64[ns]"),
        ],
        names=["file", "start", "end"],
    )
    return pd.DataFrame(list(cells), index=index, columns=columns)
