# The whole of Signet, with exactly the packages of requirements.lock. The context is the repository:
#   docker build -f docker/training.Dockerfile -t signet .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/workspace" signet train --model din --dataset ml-100k
# data, runs and exports arise in the folder it was started in. It trains on CPUs; see the README for GPUs.
FROM python:3.11-slim

# LightGBM needs OpenMP's runtime, which the slim image lacks.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /build
COPY requirements.lock ./
RUN pip install --no-cache-dir -r requirements.lock
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY pipeline ./pipeline
COPY serving ./serving
COPY signatures ./signatures
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

# A home that any user of `--user` can write: matplotlib and Keras keep their caches there.
ENV HOME=/tmp
WORKDIR /workspace
USER 65534:65534
ENTRYPOINT ["signet"]
CMD ["--help"]
