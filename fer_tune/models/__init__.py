"""Backbones: every timm classifier, and the published CNNs that timm lacks; and what a freeze depth means."""

from fer_tune.models.factory import OURS, check_backbone, create_model, known_backbones
from fer_tune.models.freezing import freeze
from fer_tune.models.head_alone import HeadAlone, head_alone
from fer_tune.models.heads import head_parameters
from fer_tune.models.image_sizes import check_image_size, check_square
from fer_tune.models.stages import Stage, backbone_stages, stage_count, stage_of, stages
from fer_tune.models.weights.load_report import LoadReport
from fer_tune.models.weights.loading import load_weights

__all__ = [
    "OURS",
    "HeadAlone",
    "LoadReport",
    "Stage",
    "backbone_stages",
    "check_backbone",
    "check_image_size",
    "check_square",
    "create_model",
    "freeze",
    "head_alone",
    "head_parameters",
    "known_backbones",
    "load_weights",
    "stage_count",
    "stage_of",
    "stages",
]
