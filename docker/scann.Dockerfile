# A model with a `retrieve_scann` signature, inside a TensorFlow Serving that knows ScaNN's ops. The last one published is
# 2.11, for CPUs with AVX2; it reads what TensorFlow 2.16 wrote only as far as the graph has no newer ops. Warm-up replays
# requests while a version loads, so one whose signatures this server cannot run does not become AVAILABLE.
#   signet serve --model two_tower --write-config build/serving
#   docker build -f docker/scann.Dockerfile --build-context config=build/serving/server --build-arg MODEL=two_tower \
#     -t signet-two-tower-scann exports
#   docker run --rm --init -p 127.0.0.1:8500:8500 -p 127.0.0.1:8501:8501 signet-two-tower-scann
FROM google/tf-serving-scann:2.11.0

ARG MODEL
COPY --from=config models.config monitoring.config batching.config session.config start.sh ready.sh /config/
# A config with other models would keep the server waiting for them, for ever and without a word.
RUN test "$(grep -c base_path: /config/models.config)" = 1 \
    && grep -q "base_path: \"/models/${MODEL}\"" /config/models.config \
    || { echo "config is not of ${MODEL:-one model} alone; write it: signet serve --model ${MODEL:-NAME} --write-config" >&2; \
         exit 1; }
COPY ${MODEL} /models/${MODEL}

USER 65534:65534
HEALTHCHECK --interval=10s --timeout=10s --start-period=600s CMD ["/bin/bash", "/config/ready.sh"]
# Not the image's own script, in which bash keeps SIGTERM to itself. As process 1 the server would, too: docker run --init.
ENTRYPOINT ["/bin/bash", "/config/start.sh"]
