# One exported model, with all its versions, inside TensorFlow Serving. The context is the folder of the exports:
#   signet serve --model din --write-config build/serving
#   docker build -f docker/cpu.Dockerfile --build-context config=build/serving/server --build-arg MODEL=din \
#     -t signet-din exports
#   docker run --rm --init -p 127.0.0.1:8500:8500 -p 127.0.0.1:8501:8501 signet-din
FROM tensorflow/serving:2.16.1

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
