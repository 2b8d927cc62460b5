"""How refitted models are used together: alone, averaged, with mirror images; chosen on validation.

Knows nothing of the held-out split: `heldout` tests what is chosen here, `use` predicts and exports with it.
"""
