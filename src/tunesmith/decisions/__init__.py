"""What is decided after training, on the validation rows, and applied to every answer.

options      what a user may set
decision     what was decided, as it is saved
calibration  probabilities that mean what they say
answers      from probabilities to answers
tuning       choosing all of it
"""
