"""AffectNet (Mollahosseini et al. 2019): as it is distributed, as a csv, and as numbered folders."""
