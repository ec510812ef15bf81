"""Asks a model server over gRPC or REST; numpy in and out, no TensorFlow.

    with Client(GrpcTransport("127.0.0.1", 8500)) as client:
        scores = client.predict("din", {"user_id": [7], ...}).outputs["score"]

    async with AsyncClient(AsyncGrpcTransport("127.0.0.1", 8500)) as client:
        answers = await asyncio.gather(*(client.predict("din", request) for request in requests))
"""
