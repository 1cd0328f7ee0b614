"""What is made of several finished runs: the mean of their weights (``soups``), the mean of their answers (``ensembles``)."""
