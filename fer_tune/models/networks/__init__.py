"""The published networks that timm lacks, registered with it."""
