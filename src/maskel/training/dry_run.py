"""Cost of a run, measured on a few steps."""

import sys
from dataclasses import dataclass

import torch

CLIPS_READ = 16
"""Clips to measure by; in a larger batch each would be a little faster."""


@dataclass(frozen=True)
class Check:
    """Cost of a run.

    Args:
        parameters: Weights of the model.
        trained: Weights that training changes.
        memory: Peak memory, and what it is the peak of.
        epochs: Passes over the training clips; 0 where nothing is trained.
        steps_per_epoch: Steps of one pass.
        seconds_per_step: Measured on one step, after another one to warm up; on a GPU the fastest of some steps.
        clips_read: Clips that the model reads without learning, over the whole run.
        seconds_per_clip: Measured on a few such clips.
    """

    parameters: int
    trained: int
    memory: str
    epochs: int = 0
    steps_per_epoch: int = 0
    seconds_per_step: float = 0.0
    clips_read: int = 0
    seconds_per_clip: float = 0.0

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    @property
    def hours(self) -> float:
        """Estimated time of the whole run."""
        return (self.steps * self.seconds_per_step + self.clips_read * self.seconds_per_clip) / 3600

    def __str__(self) -> str:
        lines = [f"parameters   {self.parameters:,} ({self.trained:,} trained)"]
        if self.steps:
            lines.append(f"steps        {self.steps_per_epoch:,} an epoch, {self.epochs} epochs: {self.steps:,} in all")
            lines.append(f"training     {self.seconds_per_step:.3g} s a step (after one or more to warm up)")
        if self.clips_read:
            each = f"{1000 * self.seconds_per_clip:.3g} ms each (measured on {CLIPS_READ} at most)"
            lines.append(f"evaluation   {self.clips_read:,} clips to read, {each}")
        lines.append(f"memory       {self.memory}")
        lines.append(f"time         about {duration(self.hours)} for one seed on this machine, as busy as it is now")
        return "\n".join([*lines, "The check wrote nothing."])


def peak_memory(device: torch.device) -> str:
    """Peak memory of this process so far, and what it is the peak of."""
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device) / 2**30
        return f"{peak:.2f} GiB at most in PyTorch's tensors on the GPU"
    if sys.platform == "win32":
        return "not measured on Windows"
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    return f"{peak:.2f} GiB at most in this process, its libraries included"


def duration(hours: float) -> str:
    """Hours as a person says them: seconds, minutes, hours or days."""
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    if hours >= 2:
        return f"{hours:.1f} hours"
    return f"{60 * hours:.0f} minutes" if hours >= 1 / 30 else f"{3600 * hours:.1f} seconds"
