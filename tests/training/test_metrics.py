from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, f1_score, log_loss

from fer_tune.training.metrics import Meter, scores_of


def test_metrics_equal_those_of_scikit_learn():
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(200, 5, generator=generator), torch.randint(0, 5, (200,), generator=generator)
    logits[torch.arange(200), labels] += 1
    meter = Meter(5, torch.device("cpu"))
    for part in (slice(0, 70), slice(70, 200)):
        meter.update(logits[part], labels[part], torch.nn.functional.cross_entropy(logits[part], labels[part]))
    found, predicted = meter.result("val"), logits.argmax(1)
    assert found["val_accuracy"] == pytest.approx(accuracy_score(labels, predicted))
    assert found["val_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found["val_macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert found["val_loss"] == pytest.approx(log_loss(labels, logits.softmax(1).numpy()), rel=1e-5)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_class_without_images_or_predictions():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 2])
    scores = scores_of(torch.from_numpy(confusion_matrix(labels, predicted, labels=range(4))).double())
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert scores["macro_f1"] == pytest.approx(f1_score(labels, predicted, average="macro"))
