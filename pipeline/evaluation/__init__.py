"""How good a model is: exact figures on the same lists for every model, as JSON and as one HTML page."""
