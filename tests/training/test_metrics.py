from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    log_loss,
    precision_score,
    recall_score,
    roc_auc_score,
)

from fer_tune.training.metrics import SCORES, Meter, _ranks_here, _ranks_there, scores


def test_metrics_equal_those_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 5, generator=generator), torch.randint(0, 5, (200,), generator=generator)
    logits[torch.arange(200), labels] += 1
    logits[:40] = logits[:40].round()  # ties
    meter = Meter(5, torch.device("cpu"), room=300)
    for part in (slice(0, 70), slice(70, 200)):
        meter.update(logits[part], labels[part], torch.nn.functional.cross_entropy(logits[part], labels[part]))
    found, predicted, probabilities = meter.result("val"), logits.argmax(1), logits.softmax(1).numpy()
    assert found["val_accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert found["val_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found["val_macro_precision"] == pytest.approx(precision_score(labels, predicted, average="macro"))
    assert found["val_macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["val_macro_auc"] == pytest.approx(roc_auc_score(labels, probabilities, multi_class="ovr"))
    assert found["val_recalls"] == pytest.approx(recall_score(labels, predicted, average=None))
    specificities = [recall_score(labels != place, predicted != place) for place in range(5)]
    assert found["val_macro_specificity"] == pytest.approx(np.mean(specificities))
    assert found["val_loss"] == pytest.approx(log_loss(labels, probabilities), rel=1e-5)
    assert set(found) == {"val_loss", "val_recalls", *(f"val_{name}" for name in SCORES)}


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_class_without_images_or_predictions():
    labels, predicted = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 1, 2])
    found = scores(torch.eye(4)[predicted], labels, 4)
    assert found["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["macro_precision"] == pytest.approx(
        precision_score(labels, predicted, average="macro", zero_division=0)
    )
    assert found["recalls"] == pytest.approx([0.5, 0.5, np.nan, np.nan], nan_ok=True)


def test_probabilities_that_are_no_numbers_have_no_area_under_the_curve():
    found = scores(torch.full((4, 2), torch.nan), torch.tensor([0, 1, 0, 1]), 2)
    assert found["macro_auc"] == 0.5
    assert np.isfinite(found["accuracy"])


def test_a_loss_that_is_no_number_is_seen():
    meter = Meter(2, torch.device("cpu"), room=2)
    meter.update(torch.zeros(1, 2), torch.tensor([0]), torch.tensor(0.7))
    assert meter.finite()
    meter.update(torch.zeros(1, 2), torch.tensor([0]), torch.tensor(torch.inf))
    assert not meter.finite()


def test_ranks_are_the_same_on_a_gpu():
    values = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    values[:100] = values[:100].round()  # ties
    assert torch.equal(_ranks_there(values), torch.from_numpy(_ranks_here(values.numpy())))
