"""What of a weights file became starting weights, and in words."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fer_tune.models.weights.words import some


@dataclass(frozen=True)
class LoadReport:
    """What of a file became starting weights.

    Attributes:
        file: the file that was read.
        copied: tensors that were copied, by the model's names.
        adapted: those of them whose shape had to be changed: the first convolution for other channels, position
            embeddings for another image size.
        reshaped: tensors with the right name and another shape: name -> (in the file, in the model); not copied.
        left: tensors of the classifier that would fit and were not copied.
        why_left: why.
        missing: tensors of the model that the file lacks.
        unused: tensors of the file that the model lacks.
        notes: what was chosen on the way: a nest, a prefix, a match by order; what was ignored.
        names: copied tensor -> its name in the file.
        shapes: tensor of the model -> its shape.
        numbers: how many numbers were copied.
        of: how many the model has.
    """

    file: Path
    copied: tuple[str, ...]
    adapted: tuple[str, ...] = ()
    reshaped: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    why_left: str = ""
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    names: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    numbers: int = 0
    of: int = 0

    def __str__(self) -> str:
        total = len(self.copied) + len(self.reshaped) + len(self.left) + len(self.missing)
        share = f"{100 * self.numbers / max(1, self.of):.1f}"
        lines = [f"{self.file}: {len(self.copied)} of {total} tensors copied, {share} % of the numbers"]
        lines += [f"  {note}" for note in self.notes]
        if self.adapted:
            lines.append(f"  adapted to this input: {some(self.adapted)}")
        if self.reshaped:
            told = [f"{name} {list(theirs)} for {list(ours)}" for name, (theirs, ours) in self.reshaped.items()]
            lines.append(f"  of another shape, left as initialised: {some(told)}")
        if self.left:
            lines.append(f"  its classifier, left as initialised, since {self.why_left}: {some(self.left)}")
        if self.missing:
            lines.append(f"  not in the file, left as initialised: {some(self.missing)}")
        if self.unused:
            lines.append(f"  in the file, of no use here: {some(self.unused)}")
        return "\n".join(lines)

    def tensors(self) -> list[tuple[str, tuple[int, ...], str]]:
        """Return for each tensor of the model its name, its shape, and its name in the file or why it has none."""
        return [(name, shape, self._origin(name)) for name, shape in self.shapes.items()]

    def _origin(self, name: str) -> str:
        if name in self.names:
            return self.names[name] + (" (adapted to this input)" if name in self.adapted else "")
        if name in self.reshaped:
            return f"(there {list(self.reshaped[name][0])}: left as initialised)"
        return f"({'its classes' if name in self.left else 'not there'}: left as initialised)"
