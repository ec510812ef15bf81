"""The canary: a new version beside the stable one, asked the same, and judged by what it answers."""
