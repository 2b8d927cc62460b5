"""Backbones: every timm classifier, and the published CNNs that timm lacks; and what a freeze depth means."""

from fer_tune.models.factory import check_backbone, create_model, known_backbones
from fer_tune.models.stages import freeze, stage_count, stages

__all__ = ["check_backbone", "create_model", "freeze", "known_backbones", "stage_count", "stages"]
