"""A bounded load generator: many requests to a running server, and how long its answers took.

    shots = sources.shots(client, Target("din", "rank"), sources.golden(export, "rank"))
    result = run.measure(lambda: AsyncGrpcTransport("127.0.0.1", 8500), shots, Plan(Closed(concurrency=8)))
    result.latency.p99, result.requests_per_second
"""
