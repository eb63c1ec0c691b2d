"""Growth as pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.fitting import Growth


@dataclass(frozen=True)
class Curve:
    """Seconds by the size of one quantity."""

    quantity: str
    sizes: Sequence[int]
    seconds: Sequence[float]
    fitted: Growth


def plot_growth(stages: Mapping[str, Sequence[Curve]], folder: Path) -> list[Path]:
    """One panel a stage, one line a quantity, both relative to the smallest size; `growth.png` and `growth.svg`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(1, len(stages), figsize=(5.2 * len(stages), 4.2), squeeze=False, sharey=True)
    for panel, (stage, curves) in zip(panels[0], stages.items(), strict=True):
        for curve in curves:
            relative = [size / curve.sizes[0] for size in curve.sizes]
            times = [seconds / curve.seconds[0] for seconds in curve.seconds]
            label = f"{curve.quantity}: {curve.fitted.exponent:.2f}"
            (points,) = panel.plot(relative, times, "o", label=label)
            fitted = [curve.fitted.at(size) / curve.seconds[0] for size in curve.sizes]
            panel.plot(relative, fitted, "-", color=points.get_color(), linewidth=1)
        panel.set(xscale="log", yscale="log", xlabel="size, relative to the smallest", title=stage)
        panel.legend(title="fitted exponent", fontsize="small")
    panels[0][0].set_ylabel("time, relative to the smallest size")
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "growth.png", folder / "growth.svg"]
    for path in written:
        figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return written
