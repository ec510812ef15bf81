"""Models with one defect each, models that look like it and have none: made by TensorFlow, for the linter to judge.

`case.py` says what a case is, `saving.py` how models are saved; `corpus.py` lists them all, each other file one family.
"""
