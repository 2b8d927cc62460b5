"""Which column of a table is what: by the names that people give them, or as said with ``--columns``."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from fer_tune.data.labels import canonical
from fer_tune.errors import UserError, nearest

_NAMES: dict[str, tuple[str, ...]] = {
    "path": tuple(
        [
            "path",
            "filepath",
            "file",
            "filename",
            "imagepath",
            "imgpath",
            "pth",
            "imagename",
            "imgname",
            "imagefile",
            "imageid",
            "subdirectoryfilepath",
            "image",
            "img",
            "name",
            "relpath",
            "url",
        ]
    ),
    "pixels": ("pixels", "pixel", "pixelvalues"),
    "image": ("image", "img", "bytes", "imagebytes", "picture", "photo", "face", "data"),
    "label": tuple(
        [
            "label",
            "emotion",
            "expression",
            "class",
            "category",
            "target",
            "labels",
            "emotionlabel",
            "expressionlabel",
            "emotionname",
            "labelname",
            "classname",
            "emotions",
            "expressions",
            "exp",
            "emotioncode",
            "classid",
            "labelid",
            "y",
            "fer",
        ]
    ),
    "split": ("split", "usage", "set", "subset", "partition", "part", "phase", "datasplit"),
    "group": tuple(
        [
            "group",
            "subject",
            "person",
            "subjectid",
            "personid",
            "identity",
            "actor",
            "actorid",
            "participant",
            "participantid",
            "subjectname",
            "user",
            "userid",
            "character",
            "speaker",
        ]
    ),
}
_BOXES: tuple[tuple[str, tuple[str, str, str, str]], ...] = (
    ("box_xywh", ("facex", "facey", "facewidth", "faceheight")),
    ("box_xywh", ("x", "y", "w", "h")),
    ("box_xywh", ("x", "y", "width", "height")),
    ("box_xyxy", ("x1", "y1", "x2", "y2")),
    ("box_xyxy", ("xmin", "ymin", "xmax", "ymax")),
    ("box_xyxy", ("left", "top", "right", "bottom")),
    ("box_xyxy", ("faceboxleft", "faceboxtop", "faceboxright", "faceboxbottom")),
)
_POINTS: tuple[tuple[str, ...], ...] = (  # as CelebA has them, and the other way about
    ("lefteye", "righteye", "nose", "leftmouth", "rightmouth"),
    ("eyeleft", "eyeright", "nose", "mouthleft", "mouthright"),
)
ROLES: tuple[str, ...] = ("path", "pixels", "image", "label", "split", "group", "box_xywh", "box_xyxy", "landmarks")
"""What ``--columns`` can say: path of an image file, pixels as numbers, image as bytes, label, split, group, face."""
_ENOUGH = 3  # columns named as emotions are votes


@dataclass(frozen=True)
class Columns:
    """Columns of a table by what they hold; None where there is none."""

    path: str | None
    pixels: str | None
    image: str | None
    label: str | None
    split: str | None
    group: str | None
    box: tuple[str, ...]  # one column, or four
    is_corners: bool  # the box is left, top, right, bottom; else left, top, width, height
    landmarks: tuple[str, ...]  # one column, or ten
    votes: dict[str, str]  # column -> emotion, where there is no label but a column an emotion

    @property
    def has_image(self) -> bool:
        """Whether an image can be found for each row."""
        return bool(self.path or self.pixels or self.image)

    @property
    def has_label(self) -> bool:
        """Whether a label can."""
        return bool(self.label or self.votes)


def find_columns(
    names: Collection[str],
    said: Mapping[str, str] | None = None,
    *,
    binary: Collection[str] = (),
) -> Columns:
    """Return what the columns called ``names`` hold.

    Args:
        names: of the columns.
        said: what was said: one of :data:`ROLES` -> name of a column.
        binary: the columns that hold bytes.

    Raises:
        UserError: something said is no role, or no column.
    """
    plain = {_plain(name): name for name in reversed(list(names))}
    chosen: dict[str, str] = {}
    for role, name in (said or {}).items():
        if role not in ROLES:
            raise UserError(f"--columns {role}={name}: {role!r} is nothing that a column holds; {_hint(role, ROLES)}")
        if name not in names and _plain(name) not in plain:
            raise UserError(f"--columns {role}={name}: no such column; {_hint(name, names)}")
        chosen[role] = name if name in names else plain[_plain(name)]
    taken = set(chosen.values())
    for role in ("image", "pixels", "path", "label", "split", "group"):
        for key in _NAMES[role]:
            own = plain.get(key)
            if own is None or own in taken or role in chosen or (own in binary) != (role == "image"):
                continue
            chosen[role] = own
            taken.add(own)
    box = tuple(chosen[role] for role in ("box_xywh", "box_xyxy") if role in chosen)
    is_corners = "box_xyxy" in chosen
    for kind, four in _BOXES:
        if not box and all(key in plain for key in four):
            box, is_corners = tuple(plain[key] for key in four), kind == "box_xyxy"
    landmarks: tuple[str, ...] = (chosen["landmarks"],) if "landmarks" in chosen else ()
    for five in _POINTS:
        ten = [point + axis for point in five for axis in "xy"]
        if not landmarks and all(key in plain for key in ten):
            landmarks = tuple(plain[key] for key in ten)
    votes = {name: emotion for name in names if (emotion := canonical(name))}
    return Columns(
        chosen.get("path"),
        chosen.get("pixels"),
        chosen.get("image"),
        chosen.get("label"),
        chosen.get("split"),
        chosen.get("group"),
        box,
        is_corners,
        landmarks,
        votes if "label" not in chosen and len(votes) >= _ENOUGH else {},
    )


def unclear(names: Iterable[str], columns: Columns) -> list[str]:
    """Return warnings about columns that look like something they are not taken for."""
    return [
        f"column {name!r} looks like a box, but not of which kind; say --columns box_xywh={name} (left, top, width, "
        f"height) or --columns box_xyxy={name} (left, top, right, bottom), and faces are cut out"
        for name in names
        if not columns.box and _plain(name) in ("box", "bbox", "boundingbox", "facebox")
    ]


def parsed(texts: Iterable[str]) -> dict[str, str]:
    """Parse what ``--columns`` says, such as ``label=emotion``, several at once with commas.

    Raises:
        UserError: it is not role=column.
    """
    said: dict[str, str] = {}
    for word in (word.strip() for text in texts for word in text.split(",")):
        role, equals, name = word.partition("=")
        if not equals or not name:
            raise UserError(
                f"--columns {word}: write what it holds and its name, such as label=emotion; {_hint('', ROLES)}"
            )
        said[role.strip()] = name.strip()
    return said


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.lower())


def _hint(name: str, known: Collection[str]) -> str:
    return nearest(name, known) or f"there are {', '.join(known)}"
