# The command line on a CPU.
#   docker build -t geodesics .
#   docker run --rm -v "$PWD:/work" -u "$(id -u):$(id -g)" geodesics interpolate a.jpg b.jpg -o out
# UNTESTED: no docker was at hand where this was written; it was linted only.
FROM python:3.12-slim

COPY . /source
RUN pip install --no-cache-dir --extra-index-url https://download.pytorch.org/whl/cpu \
        -c /source/constraints.txt "/source[web]" \
    && rm -r /source

# Models from the hub: keep them with -v geodesics-models:/models
ENV HF_HOME=/models MPLCONFIGDIR=/tmp/matplotlib HOME=/tmp
RUN mkdir /models && chmod 777 /models && useradd --no-create-home geodesic
USER geodesic
WORKDIR /work
ENTRYPOINT ["geodesic"]
CMD ["--help"]
