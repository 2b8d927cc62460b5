"""RAF-DB (Li et al. 2017): as it is distributed, as folders, and with its labels in csv files."""
