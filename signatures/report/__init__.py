"""The HTML page of `lint --report`: a picture of each signature, its findings, and what the rules say."""
