"""What a search does not offer, and why: two schedulers of Ray (2.60), and a bandit over the backbones.

* ``HyperBandScheduler``, the synchronous one, pauses a trial until all of its bracket have come as far, and halves the
  bracket as soon as the trials that have been started have (``_Bracket.cur_iter_done``).  Tune starts no trial while
  paused ones fill its bound on trials side by side (``hb_bohb.py`` says so, and works round it for a searcher of its
  own).  So there is hardly anything to halve: of 27 trials of at most 9 epochs and a reduction factor of 3, its code,
  run without a cluster, stopped none with two side by side and 4 with four.  A paused trial that is stopped is told to
  the searcher without a result (``TuneController.stop_trial``), and the brackets are keyed by trial objects that a
  resume does not bring back.  `BackboneASHA` with several brackets is its asynchronous form (Li et al. 2020).
* ``PopulationBasedTraining`` refuses to work with a searcher (``on_trial_add`` raises ValueError), and changes the
  settings of a trial while it trains: the study, trials.parquet and a refit would name settings with which no trial
  was trained from start to end.
* A bandit that gives the next trial to the backbone that earns it, instead of to all in turn.  MaxUCB (Balef, Vernade
  and Eggensperger 2025, arXiv:2505.05226), which takes the largest ``best + (0.5 ln t / n) ** 2``, was replayed after
  eight trials of each of three backbones (``tests/benchmarks/allocation.py``; 20 seeds, 220 epochs, TPE and ASHA).
  Points of best accuracy that it gained over trials in turn, with 95 % bootstrap intervals: +1.00 (-0.83 to +2.90)
  where one backbone is clearly better, +0.25 (-1.51 to +1.66) where all are nearly equal, +0.51 (-1.15 to +1.92) where
  the best one starts badly.  The backbones were bent versions of one surface, fitted to 300 recorded learning curves of
  one network.  So a gain is not shown, though one of a point is possible where one backbone is clearly better; whoever
  knows the best one gains 2.6 there (0.3 to 5.1).  In turn, each backbone gets the same number of trials, and the
  report can compare them.
"""

from __future__ import annotations

NOT_OFFERED = {
    "hyperband": (
        "Ray's Hyperband compares only trials that were started together, a handful here; "
        "`--scheduler asha --brackets 3` is its asynchronous form"
    ),
    "pbt": (
        "population-based training changes settings while a trial trains, so that no configuration could be refitted, "
        "and Ray does not let it work with a sampler"
    ),
}
"""Names that a user may try -> why there is no such scheduler, and what to do."""
