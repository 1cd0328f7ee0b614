"""What is wrong with labelled data, told by models that did not see the rows they judge; ``doctor.py`` is the story."""
