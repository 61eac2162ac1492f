# The service in a small image. On this machine only:
#   docker build --tag affekt . && docker run --rm --publish 127.0.0.1:8000:8000 affekt
# Behind a proxy, name the host: docker run ... affekt --name affekt.example.org
FROM python:3.13-slim AS build
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --wheel-dir /wheels -c constraints.txt '.[serve]'

FROM python:3.13-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-index /wheels/*.whl \
    && rm -r /wheels \
    && useradd --system --no-create-home --uid 10001 affekt
USER 10001
WORKDIR /tmp
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=4)"]
ENTRYPOINT ["affekt", "serve", "--host", "0.0.0.0", "--port", "8000"]
