"""What a parameter changes in a drawn face, and what it leaves alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from fer_tune.data.labels import EMOTIONS
from fer_tune.data.synthetic.characters import sample_characters, sample_sensors, sample_views
from fer_tune.data.synthetic.expressions import PROTOTYPES
from fer_tune.data.synthetic.faces import ACTION_UNITS, DEFAULTS, IDENTITY, SIDE, VIEW, draw, expose, mirrored

BROWS, EYES, MOUTH = (2, 18), (10, 30), (28, 47)  # rows of an average face seen from the front


def changed_rows(**parameters):
    """Rows in which these parameters change an average face by more than rounding."""
    difference = np.abs(draw(parameters)[0] - draw({})[0])
    return np.flatnonzero(difference.max(axis=1) > 1e-4)


def people(count, seed=0):
    """Parameters of random characters, faces at rest in random views."""
    rng = np.random.default_rng(seed)
    return {**sample_characters(count, rng), **sample_views(count, rng)}


@pytest.mark.parametrize(
    ("muscle", "rows"),
    [
        ("outer_brow_raiser", BROWS),
        ("upper_lid_raiser", EYES),
        ("lid_tightener", EYES),
        ("eyes_closed", EYES),
        ("lip_corner_depressor", MOUTH),
        ("lip_stretcher", MOUTH),
        ("lips_part", MOUTH),
        ("lip_presser", MOUTH),
        ("chin_raiser", MOUTH),
    ],
)
def test_a_muscle_moves_its_part_of_the_face_only(muscle, rows):
    changed = changed_rows(**{muscle: 1.0})
    assert len(changed) >= 2
    assert rows[0] <= changed.min()
    assert changed.max() < rows[1]


@pytest.mark.parametrize("name", ACTION_UNITS)
def test_every_muscle_is_seen_and_grows_with_its_strength(name):
    rest, weak, strong = draw({name: np.array([0.0, 0.4, 1.0])})
    assert np.abs(strong - rest).sum() > 1.2 * np.abs(weak - rest).sum() > 0


@pytest.mark.parametrize("name", sorted({**IDENTITY, **VIEW}))
def test_every_other_parameter_is_seen(name):
    scene = {"occluder_radius": 5.0} if name.startswith("occluder") else {}
    scene |= {"beard": 0.5} if name == "hair_tone" else {}
    scene |= {"lip_corner_puller": 1.0} if name == "asymmetry" else {}
    value = scene.get(name, DEFAULTS[name])
    one, other = draw({**scene, name: np.array([value, value + 0.3])})
    assert np.abs(one - other).max() > 0.01


def test_the_corners_of_the_mouth_go_up_in_a_smile_and_down_in_sorrow():
    def hang(**muscles):
        """How many rows the corner of the mouth lies below its middle."""
        face = draw(muscles)[0][MOUTH[0] : 42]
        return int(face[:, SIDE // 2 + 8].argmin()) - int(face[:, SIDE // 2].argmin())

    assert hang(lip_corner_puller=0.8) < hang() < hang(lip_corner_depressor=0.8)


def test_the_head_turns_without_leaving_its_outline():
    front, turned = draw({"yaw": np.array([0.0, 0.3])})
    change = np.abs(front - turned)
    assert change[10:40, 14:34].max() > 0.3  # eyes, nose and mouth moved
    assert change[:, :3].max() < 1e-4  # the ground behind the head did not


@pytest.mark.parametrize("seed", range(3))
def test_mirrored_parameters_draw_the_mirror_image(seed):
    faces = people(20, seed)
    faces |= {name: np.random.default_rng(seed).random(20) for name in ACTION_UNITS}
    np.testing.assert_allclose(draw(mirrored(faces)), draw(faces)[:, :, ::-1], atol=2e-3)


def test_each_emotion_looks_different_at_full_strength():
    first = {name: [PROTOTYPES[emotion][0].get(name, 0.0) for emotion in EMOTIONS] for name in ACTION_UNITS}
    images = draw(first)
    distances = [np.abs(a - b).mean() for a, b in itertools.combinations(images, 2)]
    assert min(distances) > 0.3 * np.abs(draw({"shift_x": 1.0})[0] - draw({})[0]).mean()


def test_a_face_does_not_depend_on_the_faces_drawn_with_it():
    faces = people(40)
    alone = [draw({name: column[place : place + 1] for name, column in faces.items()})[0] for place in (0, 17, 39)]
    np.testing.assert_array_equal(draw(faces)[[0, 17, 39]], alone)


def test_images_are_grey_values_in_range():
    images = draw(people(20))
    assert images.shape == (20, SIDE, SIDE)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1


def test_an_unknown_parameter_is_refused():
    with pytest.raises(KeyError, match="smile"):
        draw({"smile": 1.0})


def test_the_sensor_adds_noise_blur_and_exposure():
    images = draw({}, count=40)
    sensor = sample_sensors(40, np.random.default_rng(0))
    still = sensor._replace(**{name: np.zeros(40, np.float32) for name in ("blur", "noise", "offset")})
    still = still._replace(gain=np.ones(40, np.float32))

    def shot(**settings):
        chosen = still._replace(**{name: np.full(40, value, np.float32) for name, value in settings.items()})
        return expose(images, chosen, np.random.default_rng(1)).astype(float)

    clean = shot()
    np.testing.assert_allclose(clean, images * 255, atol=0.51)
    assert (shot(noise=0.02) - clean).std() == pytest.approx(0.02 * 255, rel=0.1)
    assert shot(offset=0.1).mean() > clean.mean() > shot(offset=-0.1).mean()
    assert shot(gain=0.7).std() < clean.std()
    assert np.abs(np.diff(shot(blur=0.8))).sum() < np.abs(np.diff(clean)).sum()
