"""How findings are written: for people (text), for programs (json, sarif), for a pull request (github)."""
