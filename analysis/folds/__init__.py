"""A search over the folds of a dataset: for each fold an ordinary run, and what all of them come to.

Selection is nested (Varma and Simon 2006, BMC Bioinformatics 7:91; Cawley and Talbot 2010, JMLR 11:2079): each fold has
a search, refits and a winner of its own, chosen on its own validation people, so that nobody who is held out in a fold
has had a part in what is chosen for it.  What is estimated is what the whole way of searching reaches on new people,
not one configuration: folds may differ in theirs.
"""
