"""Doors of datasets: prepare a raw one, draw the embedded one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typing_extensions import Doc

from fer_tune.door import door

if TYPE_CHECKING:
    from fer_tune.data.prepared.card import DatasetCard
    from fer_tune.data.preparing.folding import Folded


@door
def prepare(
    source: Annotated[
        str | Path,
        Doc(
            "Raw dataset, a folder, file, zip or tar: FER2013, FER+, RAF-DB, AffectNet, CK+, JAFFE, KDEF, ExpW, "
            "FERG-DB, any table (csv, tsv, Parquet) or any tree of images with SPLIT, PERSON and CLASS folders."
        ),
    ],
    out: Annotated[str | Path | None, Doc("Folder for the prepared dataset; must not exist, or be empty.")] = None,
    *,
    dry_run: Annotated[bool, Doc("Tell what would be read, dropped and ignored, and write nothing.")] = False,
    name: Annotated[str | None, Doc("Name of the dataset in results; the format's own if left out.")] = None,
    format: Annotated[
        str | None,
        Doc("Name of the format, such as kdef, folders or table; recognised if left out; an unknown one lists all."),
    ] = None,
    columns: Annotated[
        Mapping[str, str] | Sequence[str] | None,
        Doc(
            "What a table's columns hold, if their names do not tell: label=emotion,path=file; also image, pixels, "
            "split, group, box_xywh, box_xyxy, landmarks."
        ),
    ] = None,
    classes: Annotated[
        Mapping[str, str] | Sequence[str] | None,
        Doc("Rename, merge or drop classes: joy=happy,contempt= (nothing drops); 0=angry names numbers."),
    ] = None,
    split: Annotated[
        str | None,
        Doc(
            "Where nothing is published: random images, or leave a character (group, person) out; the latter where "
            "there are any. If said, character divides published parts anew."
        ),
    ] = None,
    test_characters: Annotated[
        str | Sequence[str] | None, Doc("Characters (groups) of the test; drawn if left out. May be repeated.")
    ] = None,
    group: Annotated[
        str | None,
        Doc(
            "Regular expression that finds an image's group (person) in its path, if the layout does not tell; no "
            "group crosses splits."
        ),
    ] = None,
    folds: Annotated[
        int | None, Doc("Prepare so many folds instead; each person is in the test of one. For `search`, `refit`, ...")
    ] = None,
    test_fraction: Annotated[
        float | None, Doc("Share of all for the test where nothing is published; 0.2 if left out.")
    ] = None,
    keep_duplicates: Annotated[bool, Doc("Keep training images that also stand in val or test.")] = False,
    drop_near_duplicates: Annotated[bool, Doc("Drop near-duplicates as duplicates are dropped.")] = False,
    skip_unreadable: Annotated[bool, Doc("Leave out what cannot be read, instead of stopping.")] = False,
    val_fraction: Annotated[
        float | None,
        Doc("Share of train for validation where there is none; 0.1, or 0.2 if nothing is published."),
    ] = None,
    seed: Annotated[int, Doc("Which images become the validation and test parts that are missing.")] = 0,
    size: Annotated[int | None, Doc("Resize all images to this many pixels a side, antialiased.")] = None,
    fit: Annotated[
        Literal["pad", "crop", "stretch"],
        Doc("How images that are not square come to --size: padded (black), cropped (middle) or stretched."),
    ] = "pad",
    align: Annotated[
        bool | None,
        Doc(
            "Turn and scale faces by the dataset's landmarks, where it has them; if left out, those that do not come "
            "cut out already."
        ),
    ] = None,
    channels: Annotated[int | None, Doc("Make all images grey (1) or RGB (3).")] = None,
) -> DatasetCard | Folded:
    """Prepare a raw dataset: recognise it, split it, clean it, write it as memory-mapped arrays.

    Returns:
        The card of the dataset: what it holds, and what was dropped from it; with ``folds`` those of all.

    Raises:
        UserError: what is wrong with the dataset, a file of it or an option.
    """
    given = dict(locals())
    from fer_tune.data.preparing.asked import prepare_as_asked

    return prepare_as_asked(**given)


@door
def synthesize(
    out: Annotated[str | Path, Doc("Folder for the prepared dataset; must not exist, or be empty.")],
    *,
    size: Annotated[int, Doc("Images in all, over the three splits.")] = 6000,
    seed: Annotated[int, Doc("The same seed draws the same faces.")] = 0,
) -> DatasetCard:
    """Draw the embedded dataset: cartoon faces with seven expressions, 48x48 grey.

    Raises:
        UserError: an option is out of its bounds, or ``out`` is taken.
    """
    from fer_tune.data.synthetic.synthesize import synthesize as run

    return run(Path(out), size=size, seed=seed)
