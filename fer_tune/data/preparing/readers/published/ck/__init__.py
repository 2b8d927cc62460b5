"""The extended Cohn-Kanade dataset (Lucey et al. 2010): as it is distributed, as a csv, and as folders (CK+48)."""
