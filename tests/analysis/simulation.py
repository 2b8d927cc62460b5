"""Every figure of docs/claims.md that made-up data gives: ``python tests/analysis/simulation.py`` prints them."""

from __future__ import annotations


def main() -> None:
    """Print every figure of coverage, of false claims and of power; the argument is the number of experiments."""
    import sys

    import simulated_aggregates
    import simulated_calibration
    import simulated_choices
    import simulated_combining
    import simulated_families
    import simulated_groups
    import simulated_images
    import simulated_ranks
    import simulated_searches

    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    told = (simulated_families, simulated_choices, simulated_combining, simulated_ranks, simulated_calibration)
    for part in (simulated_images, simulated_groups, *told, simulated_searches, simulated_aggregates):
        part.print_all(count)


if __name__ == "__main__":
    main()
