# syntax=docker/dockerfile:1
# svggt as a Docker Space, or anywhere: docker build -t svggt . && docker run -p 7860:7860 --gpus all svggt
# Without a GPU: docker build --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu -t svggt .
FROM python:3.12-slim

ARG TORCH_INDEX=https://pypi.org/simple
RUN useradd --create-home --uid 1000 user
WORKDIR /home/user/app
COPY requirements.txt .
RUN pip install --no-cache-dir --extra-index-url "${TORCH_INDEX}" -r requirements.txt
COPY --chown=1000:1000 --chmod=u=rwX,go=rX app.py ./
COPY --chown=1000:1000 --chmod=u=rwX,go=rX svggt ./svggt
COPY --chown=1000:1000 --chmod=u=rwX,go=rX assets ./assets
USER 1000
ENV HF_HOME=/home/user/.cache/huggingface HF_HUB_DISABLE_TELEMETRY=1 PYTHONUNBUFFERED=1
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m CMD \
  ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:7860/healthz', timeout=8)"]
# Proxies inside the host's own network are believed; what a visitor claims beyond them is not.
CMD ["python", "app.py", "--host", "0.0.0.0", "--port", "7860", \
     "--trust-proxy", "127.0.0.1,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16"]
