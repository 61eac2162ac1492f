"""The command ``export``: a trained network to a model file, by one library call."""

from pathlib import Path
from typing import Annotated

import typer


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run or of one of its folds.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Model file to write.")] = Path(
        "model.onnx"
    ),
    fold: Annotated[int | None, typer.Option(help="Which fold. (Default: the only one.)")] = None,
    name: Annotated[
        str | None, typer.Option(help="What the model is called. (Default: its file's name.)")
    ] = None,
    precision: Annotated[
        str,
        typer.Option(help="float16 (half the size of float32), float32, int8 (twice as quick)."),
    ] = "float16",
    recordings: Annotated[
        Path | None, typer.Option(help="For int8: folder with some of the training speakers'.")
    ] = None,
    calibrate: Annotated[
        list[Path] | None,
        typer.Option(help="Runs of like networks, whose tested speakers say how sure to be."),
    ] = None,
) -> None:
    """Write a trained network as one model file, proven to give the same answers."""
    from rich.console import Console

    from affekt.model.export import export as write
    from affekt.model.export import find_network

    source = find_network(run, fold)
    stranger = known = 1.0
    if calibrate:
        from affekt.evaluation.calibration import pooled_temperatures

        stranger, known = pooled_temperatures(calibrate)
    with Console(stderr=True).status(f"exporting {source}"):
        difference = write(
            source,
            output,
            name=name or output.stem,
            precision=precision,
            recordings=recordings,
            temperature=stranger,
            temperature_known=known,
        )
    size = output.stat().st_size
    print(f"{output}: {size:,} bytes, {difference:.1g} at most from {source}")
